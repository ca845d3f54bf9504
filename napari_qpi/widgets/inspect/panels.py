"""The panels of the Inspect dock in the order of their tabs: a new one is a file and a line."""

from __future__ import annotations

from napari_qpi.widgets.inspect.comparison_panel import ComparisonPanel
from napari_qpi.widgets.inspect.curves.cut_panel import CutPanel
from napari_qpi.widgets.inspect.curves.dispersion_panel import DispersionPanel
from napari_qpi.widgets.inspect.curves.profiles_panel import ProfilesPanel
from napari_qpi.widgets.inspect.curves.spectrum_panel import SpectrumPanel
from napari_qpi.widgets.inspect.fourier_panel import FourierPanel
from napari_qpi.widgets.inspect.panel import Panel
from napari_qpi.widgets.inspect.symmetry_panel import SymmetryPanel

__all__ = ["PANELS"]

PANELS: list[type[Panel]] = [
    FourierPanel,
    ComparisonPanel,
    CutPanel,
    ProfilesPanel,
    SpectrumPanel,
    DispersionPanel,
    SymmetryPanel,
]
