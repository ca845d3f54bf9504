"""The library is built in floors: an import points down, or sideways without a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

FLOORS = (
    {
        *("devices", "interpolation", "symmetry", "progress", "metrics"),
        *("io", "prepare", "defects", "models", "inspect"),
    },
    {"forward", "result"},
    {"extraction", "simulate"},
    {"train", "bench"},
    {"cli"},
)
HEIGHT = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}

WINDOW_SYSTEM = {
    "napari", "napari_qpi", "qtpy", "PyQt5", "PyQt6", "PySide6", "magicgui", "superqt", "vispy",
}  # fmt: skip

LIBRARY = Path(import_module("qpi_kernels").__path__[0])


def imported_modules(source: str, package: str) -> Iterator[str]:
    """Name in full every module that a source text imports, anywhere in it.

    `package` is the package that holds the source, from which relative imports count.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(parents if node.level else []), *filter(None, [node.module])])
            # `from qpi_kernels import forward` names a module by an alias, other imports may.
            yield from (f"{base}.{alias.name}" for alias in node.names)


def sources() -> dict[str, tuple[Path, str]]:
    """Give every file of the library, by its path, with the package that holds it."""
    return {
        str(path.relative_to(LIBRARY)): (
            path,
            ".".join(["qpi_kernels", *path.relative_to(LIBRARY).parent.parts]),
        )
        for path in sorted(LIBRARY.rglob("*.py"))
    }


def room_of(file: str) -> str:
    """Give the room (top-level module or package) that a file of the library belongs to."""
    return Path(file).parts[0].removesuffix(".py")


def rooms_used(file: str) -> set[str]:
    """Give the other rooms that a file imports."""
    path, package = sources()[file]
    modules = imported_modules(path.read_text(encoding="utf-8"), package)
    used = {name.split(".")[1] for name in modules if name.startswith("qpi_kernels.")}
    return used - {room_of(file)}


# The library's own __init__ is its front door: it may name any room, since it imports lazily.
FILES = [file for file in sources() if file != "__init__.py"]


@pytest.mark.parametrize("file", FILES)
def test_imports_point_down(file: str) -> None:
    for room in rooms_used(file):
        assert room in HEIGHT, f"{file}: import {room!r} from the room that defines it"
        assert HEIGHT[room] <= HEIGHT[room_of(file)], f"{file} imports {room}, which is above it"


def test_every_room_has_a_floor() -> None:
    assert {room_of(file) for file in FILES} <= HEIGHT.keys()


def test_rooms_do_not_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for file in FILES:
        graph.setdefault(room_of(file), set()).update(rooms_used(file))
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(f"rooms import each other in a circle: {' -> '.join(circle.args[1])}")


@pytest.mark.parametrize("file", sources())
def test_the_library_knows_no_window_system(file: str) -> None:
    path, package = sources()[file]
    modules = imported_modules(path.read_text(encoding="utf-8"), package)
    assert {module.split(".")[0] for module in modules} & WINDOW_SYSTEM == set()


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("import napari.layers", "napari.layers"),
        ("from qpi_kernels import forward", "qpi_kernels.forward"),
        ("from qpi_kernels.forward import adjoint", "qpi_kernels.forward.adjoint"),
        ("from .table import Defects", "qpi_kernels.defects.table.Defects"),
        ("from ..forward import adjoint", "qpi_kernels.forward.adjoint"),
        ("def late():\n    from .. import forward", "qpi_kernels.forward"),
    ],
)
def test_every_form_of_import_is_seen(source: str, module: str) -> None:
    assert module in imported_modules(source, "qpi_kernels.defects")
