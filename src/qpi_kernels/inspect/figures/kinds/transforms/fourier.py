"""``fourier``: the Fourier amplitude of a kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from qpi_kernels.inspect.comparison import FourierComparison, compare_fourier
from qpi_kernels.inspect.figures.kind import FigureError, FigureKind, FigurePanel
from qpi_kernels.inspect.figures.kinds.images.image import image_panel
from qpi_kernels.inspect.figures.planes import (
    bias_words,
    clearest_bias,
    one_kind,
    one_plane,
    require_result,
)

__all__ = ["KIND", "comparison_of", "cropped", "shown_q"]

_POWER_SHARE, _MARGIN, _MIN_STEPS = 0.995, 1.3, 4


def comparison_of(
    result: Any, bias: float | None, kind_of_defect: str | None, name: str
) -> tuple[FourierComparison, str]:
    """Transform the kernel and the observation of one plane; return this and the bias in words."""
    known = require_result(result, name)
    bias = clearest_bias(known) if bias is None else bias
    kernel = one_plane(one_kind(known.kernel, kind_of_defect), bias)
    observation = one_plane(known.observation, bias)
    mask = known.mask
    counted = None if mask is None else mask.values
    return compare_fourier(kernel, observation, mask=counted), bias_words(kernel)


def shown_q(comparison: FourierComparison, q_max: float | None) -> float:
    """Return the largest q to show: what holds nearly all of the kernel's power, and a margin.

    Raises
    ------
    FigureError
        If ``q_max`` is not positive.
    """
    if q_max is not None:
        if not q_max > 0:
            raise FigureError(f"q_max must be positive, not {q_max}")
        return float(q_max)
    profile = comparison.kernel_profile
    q = profile["q"].values
    above = np.maximum(profile["mean"].values ** 2 - float(profile["floor"]) ** 2, 0.0)
    power = np.nan_to_num(above * profile["count"].values).cumsum()
    if not power[-1] > 0:
        return float(q[-1])
    within = q[np.searchsorted(power, _POWER_SHARE * power[-1])]
    return float(np.clip(_MARGIN * within, q[min(_MIN_STEPS, len(q) - 1)], q[-1]))


def cropped(image: Any, q_max: float) -> Any:
    """Cut a transform to q_x and q_y from -q_max to q_max."""
    kept = {dim: np.abs(image[dim].values) <= q_max for dim in ("q_y", "q_x")}
    return image.isel({dim: np.flatnonzero(chosen) for dim, chosen in kept.items()})


def _panel(
    result: Any,
    *,
    bias: float | None = None,
    kind_of_defect: str | None = None,
    q_max: float | None = None,
) -> FigurePanel:
    """Make the panel of a kernel's transform."""
    comparison, where = comparison_of(result, bias, kind_of_defect, "fourier")
    image = cropped(comparison.kernel, shown_q(comparison, q_max))
    of_kind = "" if kind_of_defect is None else f" {kind_of_defect}"
    caption = (
        f"Fourier amplitude of the kernel{of_kind}{where}, padded to the size of the map: without "
        "the speckle of the defects' places."
    )
    return image_panel(image.rename("fourier"), f"|FT| of the kernel{of_kind}", caption)


KIND = FigureKind("fourier", "the Fourier amplitude of the kernel", _panel, of_kernel=True)
