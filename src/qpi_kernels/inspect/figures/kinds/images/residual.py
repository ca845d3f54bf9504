"""``residual``: observation minus prediction."""

from __future__ import annotations

from typing import Any

import numpy as np

from qpi_kernels.inspect.axes import printed_unit
from qpi_kernels.inspect.figures.kind import FigureKind, FigurePanel
from qpi_kernels.inspect.figures.kinds.images.image import image_panel
from qpi_kernels.inspect.figures.planes import (
    bias_words,
    clearest_bias,
    one_plane,
    require_result,
)

__all__ = ["KIND"]


def _panel(result: Any, *, bias: float | None = None) -> FigurePanel:
    """Make the panel of a result's residual; pixels that do not count are left out."""
    known = require_result(result, "residual")
    plane = one_plane(known.residual, clearest_bias(known) if bias is None else bias)
    mask = known.mask
    if mask is not None:
        plane = plane.where(mask.values)
    rms = float(np.sqrt(np.nanmean(np.square(plane.values, dtype=float))))
    units = printed_unit(str(plane.attrs.get("units", "")))
    caption = (
        f"Observation minus prediction (kernels at the marks, and background){bias_words(plane)}; "
        f"rms {rms:.3g} {units}".rstrip()
        + ". Grey pixels do not count. Rings or stripes here are what the model lacks."
    )
    plane = plane.assign_attrs(long_name="residual")
    return image_panel(plane.rename("residual"), "Residual", caption, signed=True)


KIND = FigureKind("residual", "observation minus prediction", _panel)
