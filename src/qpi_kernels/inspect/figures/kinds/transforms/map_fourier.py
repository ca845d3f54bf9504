"""``map_fourier``: the Fourier amplitude of the observation."""

from __future__ import annotations

from typing import Any

from qpi_kernels.inspect.figures.kind import FigureKind, FigurePanel
from qpi_kernels.inspect.figures.kinds.images.image import image_panel
from qpi_kernels.inspect.figures.kinds.transforms.fourier import comparison_of, cropped, shown_q

__all__ = ["KIND"]


def _panel(result: Any, *, bias: float | None = None, q_max: float | None = None) -> FigurePanel:
    """Make the panel of the observation's transform, over the q of the kernel's."""
    comparison, where = comparison_of(result, bias, None, "map_fourier")
    image = cropped(comparison.observation, shown_q(comparison, q_max))
    caption = (
        f"Fourier amplitude of the observation{where}, over the same q: the kernel's times the "
        "speckle of the defects' places, and noise."
    )
    return image_panel(image.rename("map_fourier"), "|FT| of the map", caption)


KIND = FigureKind("map_fourier", "the Fourier amplitude of the observation", _panel)
