"""The panels of the Inspect dock in the order of their tabs: a new one is a file and a line."""

from __future__ import annotations

from napari_qpi.widgets.inspect.comparison_panel import ComparisonPanel
from napari_qpi.widgets.inspect.fourier_panel import FourierPanel
from napari_qpi.widgets.inspect.panel import Panel
from napari_qpi.widgets.inspect.symmetry_panel import SymmetryPanel

__all__ = ["PANELS"]

PANELS: list[type[Panel]] = [FourierPanel, ComparisonPanel, SymmetryPanel]
