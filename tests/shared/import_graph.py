"""The graph of imports between the files of a source tree, and what its rooms must keep to.

A room is a file or folder directly inside a folder. Every import counts, also one inside a
function or under ``TYPE_CHECKING``; a folder's front is its ``__init__`` with the stub beside it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path


@dataclass(frozen=True)
class SourceFile:
    """One file of a package: its dotted module name, what it imports, and its length."""

    path: Path
    module: str
    imported: frozenset[str]
    lines: int

    @property
    def is_front(self) -> bool:
        """True for a folder's ``__init__``."""
        return self.path.stem == "__init__"


def imported_modules(tree: ast.AST, package: str) -> Iterator[str]:
    """Name in full every module that a syntax tree imports, anywhere in it.

    `package` is the package that holds the source, from which relative imports count. A name that
    is imported from a module comes as ``module.name``, since it may be a module itself.
    """
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(parents if node.level else []), *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Walk through the statements below a node, without their expressions, which hold no import."""
    for name in ("body", "orelse", "handlers", "finalbody", "cases"):
        # The body of a lambda or a conditional expression is no list.
        for child in below if isinstance(below := getattr(node, name, ()), list) else ():
            yield child
            yield from _statements(child)


def read_file(path: Path, root: Path) -> SourceFile:
    """Parse one file; `root` is the folder that holds its top-level package."""
    parts = path.relative_to(root).with_suffix("").parts
    package = ".".join(parts[:-1])
    text = path.read_text(encoding="utf-8")
    imported = set(imported_modules(ast.parse(text), package))
    stub = path.with_suffix(".pyi")
    if stub.exists():
        imported |= set(imported_modules(ast.parse(stub.read_text(encoding="utf-8")), package))
    module = package if path.stem == "__init__" else ".".join(parts)
    return SourceFile(path, module, frozenset(imported), text.count("\n"))


class ImportGraph:
    """The files of packages and the imports between them, by dotted module names."""

    def __init__(self, packages: Iterable[Path]) -> None:
        self.files = {
            file.module: file
            for package in packages
            for file in (read_file(path, package.parent) for path in sorted(package.rglob("*.py")))
        }

    def resolve(self, name: str) -> str | None:
        """Return the module of the tree that an imported name is or lies in, or None."""
        while name and name not in self.files:
            name = name.rpartition(".")[0]
        return name or None

    @cached_property
    def imports(self) -> dict[str, set[str]]:
        """Give for each module the modules of the tree that it imports.

        Importing a module runs the fronts of the folders on the way to it, unless the importing
        file lies in them: these count too.
        """
        found: dict[str, set[str]] = {}
        for module, file in self.files.items():
            targets = {target for name in file.imported if (target := self.resolve(name))}
            fronts = {front for target in targets for front in _parents(target)}
            mine = {module, *_parents(module)}
            found[module] = (targets | (fronts - mine)) - {module}
        return found

    def circles(self) -> list[str]:
        """Describe a circle of files, and one of rooms for every folder that has one."""
        found = [_circle(self.imports)]
        folders = {parent for module in self.files for parent in _parents(module)}
        for folder in sorted(folders):
            rooms: dict[str, set[str]] = {}
            for module, targets in self.imports.items():
                room = self._room_in(folder, module)
                if room is not None:
                    used = {self._room_in(folder, target) for target in targets}
                    rooms.setdefault(room, set()).update(filter(None, used - {room}))
            found.append(_circle(rooms))
        return [circle for circle in found if circle]

    def upward_imports(self, package: str, floors: Sequence[set[str]]) -> list[str]:
        """Describe every import of a room of `package` from a lower floor, or from no floor."""
        height = {room: level for level, rooms in enumerate(floors) for room in rooms}
        found = []
        for module, targets in self.imports.items():
            room = _room(package, module)
            if room is None:
                continue
            if room not in height:
                found.append(f"{module}: room {room!r} has no floor")
                continue
            for target in targets:
                used = _room(package, target)
                if used is not None and height.get(used, len(floors)) > height[room]:
                    found.append(f"{module} imports {target}, which is above it")
        return sorted(found)

    def foreign_imports(self, package: str, foreign: set[str]) -> list[str]:
        """Describe every import of a `foreign` top-level package by a file of `package`."""
        return sorted(
            f"{module} imports {name}"
            for module, file in self.files.items()
            if module.split(".")[0] == package
            for name in file.imported
            if name.split(".")[0] in foreign
        )

    def too_long(self, lines: int) -> list[str]:
        """Describe every file with more than `lines` lines."""
        return [f"{f.module}: {f.lines} lines" for f in self.files.values() if f.lines > lines]

    def too_full(self, files: int) -> list[str]:
        """Describe every folder with more than `files` files, its front not counted."""
        count: dict[Path, int] = {}
        for file in self.files.values():
            if not file.is_front:
                count[file.path.parent] = count.get(file.path.parent, 0) + 1
        return [f"{folder}: {n} files" for folder, n in count.items() if n > files]

    def _room_in(self, folder: str, module: str) -> str | None:
        """Return the room directly inside `folder` that holds `module`; its front is one too."""
        return folder if module == folder else _room(folder, module)


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _room(folder: str, module: str) -> str | None:
    """Return the name of the room directly inside `folder` that holds `module`, or None."""
    inside = module.removeprefix(f"{folder}.")
    return None if inside == module else inside.split(".")[0]


def _circle(graph: Mapping[str, Iterable[str]]) -> str:
    """Describe one circle of a graph, or return an empty string."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " -> ".join(reversed(error.args[1]))
    return ""
