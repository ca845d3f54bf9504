"""Both packages are built in floors, in rooms and files that one can survey."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from shared.import_graph import ImportGraph

LIBRARY_FLOORS = (
    {
        *("devices", "interpolation", "parameters", "symmetry", "progress", "metrics", "linalg"),
        *("io", "defects", "background", "forward", "models", "threads"),
        *("predictive_score", "quality", "quality_sentences"),
    },
    {"prepare", "result", "kernel_files", "scripts"},
    {"simulate"},
    {"inspect"},
    {"extraction"},
    {"train", "batch"},
    {"bench"},
    {"cli"},
)
FACE_FLOORS = (
    {"layers"},
    {"tasks"},
    {"widgets"},
    {"readers", "writers", "samples", "commands", "console", "demonstration"},
)
WINDOW_SYSTEM = {
    *("napari", "napari_qpi", "qtpy", "PyQt5", "PyQt6", "PySide6"),
    *("magicgui", "superqt", "vispy", "pyqtgraph"),
}
MAX_LINES, MAX_FILES = 400, 14


@pytest.fixture(scope="module")
def graph() -> ImportGraph:
    """Return the imports of the packages under test, installed or of the checkout."""
    packages = ("qpi_kernels", "napari_qpi")
    return ImportGraph(Path(import_module(name).__path__[0]) for name in packages)


def test_imports_point_down(graph: ImportGraph) -> None:
    assert graph.upward_imports("qpi_kernels", LIBRARY_FLOORS) == []
    assert graph.upward_imports("napari_qpi", FACE_FLOORS) == []


def test_no_files_or_rooms_import_each_other_in_a_circle(graph: ImportGraph) -> None:
    assert graph.circles() == []


def test_the_library_knows_no_window_system(graph: ImportGraph) -> None:
    assert graph.foreign_imports("qpi_kernels", WINDOW_SYSTEM) == []


def test_files_and_folders_are_small(graph: ImportGraph) -> None:
    found = [*graph.too_long(MAX_LINES), *graph.too_full(MAX_FILES)]
    assert found == []
