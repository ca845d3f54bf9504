"""Deliberate faults in a small package are found by the checks of `test_floors`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from shared.import_graph import ImportGraph, imported_modules

SOUND = {
    "__init__.py": "",
    "ground/__init__.py": "from house.ground.stone import lay\n",
    "ground/stone.py": "def lay(): ...\n",
    "ground/mortar.py": "from house.ground.stone import lay\n",
    "attic/__init__.py": "",
    "attic/roof.py": "from house.ground import lay\n",
    "attic/beam.py": "import numpy\n",
}
FLOORS = ({"ground"}, {"attic"})


def build(folder: Path, **changes: str) -> ImportGraph:
    """Write the sound house with other texts for some files (``attic__roof=...``)."""
    texts = {**SOUND, **{f"{name.replace('__', '/')}.py": text for name, text in changes.items()}}
    for name, text in texts.items():
        path = folder / "house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return ImportGraph([folder / "house"])


def faults(graph: ImportGraph) -> list[str]:
    """Give everything that the checks find."""
    return [*graph.upward_imports("house", FLOORS), *graph.circles()]


def test_a_sound_package_has_no_faults(tmp_path: Path) -> None:
    graph = build(tmp_path)
    assert graph.imports["house.attic.roof"] == {"house.ground"}
    assert faults(graph) == []


@pytest.mark.parametrize(
    "source",
    [
        "import house.attic.roof\n",
        "from house.attic import roof\n",
        "from ..attic.roof import tile\n",
        "from .. import attic\n",
        "def late():\n    from house.attic.roof import tile\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.attic import roof\n",
    ],
)
def test_an_upward_import_is_found(tmp_path: Path, source: str) -> None:
    graph = build(tmp_path, ground__stone=source)
    assert any("house.ground.stone imports house.attic" in fault for fault in faults(graph))


def test_a_room_without_a_floor_is_found(tmp_path: Path) -> None:
    graph = build(tmp_path, cellar="import numpy\n")
    assert faults(graph) == ["house.cellar: room 'cellar' has no floor"]


def test_a_circle_of_files_inside_a_room_is_found(tmp_path: Path) -> None:
    graph = build(tmp_path, ground__stone="def lay():\n    from .mortar import mix\n")
    assert any("house.ground.mortar -> house.ground.stone" in fault for fault in faults(graph))


def test_a_circle_through_a_folders_front_is_found(tmp_path: Path) -> None:
    graph = build(tmp_path, ground__stone="from house.ground import mortar, lay\n")
    assert any("house.ground -> house.ground.stone" in fault for fault in faults(graph))


def test_a_circle_through_the_stub_of_a_lazy_front_is_found(tmp_path: Path) -> None:
    stub = tmp_path / "house" / "attic" / "__init__.pyi"
    stub.parent.mkdir(parents=True)
    stub.write_text("from .roof import tile as tile\n")
    graph = build(tmp_path, attic__roof="from house.attic import beam, tile\n")
    assert any("house.attic -> house.attic.roof" in fault for fault in faults(graph))


def test_the_front_that_an_import_runs_counts(tmp_path: Path) -> None:
    # attic/beam needs only ground.mortar, but importing that runs ground's front.
    graph = build(tmp_path, attic__beam="from house.ground.mortar import mix\n")
    assert graph.imports["house.attic.beam"] == {"house.ground", "house.ground.mortar"}


def test_a_circle_of_rooms_without_one_of_files_is_found(tmp_path: Path) -> None:
    graph = build(tmp_path, ground__mortar="from house.attic import beam\n")
    assert graph.circles() == ["attic -> ground -> attic"]


def test_foreign_packages_long_files_and_full_folders_are_found(tmp_path: Path) -> None:
    graph = build(tmp_path)
    assert graph.foreign_imports("house", {"numpy"}) == ["house.attic.beam imports numpy"]
    assert graph.too_long(1) == []
    assert graph.too_long(0) == [
        "house.attic.beam: 1 lines",
        "house.attic.roof: 1 lines",
        "house.ground: 1 lines",
        "house.ground.mortar: 1 lines",
        "house.ground.stone: 1 lines",
    ]
    assert graph.too_full(2) == []
    assert len(graph.too_full(1)) == 2


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("import napari.layers", "napari.layers"),
        ("from qpi_kernels import forward", "qpi_kernels.forward"),
        ("from .table import Defects", "qpi_kernels.defects.table.Defects"),
        ("from ..forward import adjoint", "qpi_kernels.forward.adjoint"),
    ],
)
def test_imports_are_named_in_full(source: str, module: str) -> None:
    assert module in imported_modules(ast.parse(source), "qpi_kernels.defects")
