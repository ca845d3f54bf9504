"""The panels of the Inspect dock in the order of their tabs: a new one is a file and a line."""

from __future__ import annotations

from napari_qpi.widgets.inspect.fourier_panel import FourierPanel
from napari_qpi.widgets.inspect.panel import Panel

__all__ = ["PANELS"]

PANELS: list[type[Panel]] = [FourierPanel]
