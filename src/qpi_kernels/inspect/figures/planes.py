"""The images of a result that figures show: plane of a stack, kernel of a kind, mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.inspect.figures.kind import FigureError
from qpi_kernels.result import KernelResult

__all__ = [
    "bias_words",
    "clearest_bias",
    "one_kind",
    "one_plane",
    "plane_axis",
    "require_result",
]


def require_result(result: Any, name: str) -> KernelResult:
    """Return a result, or raise `FigureError` for anything else."""
    if not isinstance(result, KernelResult):
        raise FigureError(
            f"the figure {name!r} is made of a KernelResult, not {type(result).__name__}"
        )
    return result


def clearest_bias(result: KernelResult) -> float | None:
    """Return the bias whose kernel explains the largest share of its plane; None without planes."""
    biases = plane_axis(result.residual)
    if biases is None:
        return None
    shares = np.asarray(result.quality.predicted or result.quality.r_squared, float)
    if len(shares) != len(biases) or not np.isfinite(shares).any():
        return float(biases[len(biases) // 2])
    return float(biases[int(np.nanargmax(shares))])


def plane_axis(image: xr.DataArray) -> NDArray[np.float64] | None:
    """Return the biases (or numbers) of a stack's planes, None for a single image."""
    if image.ndim < 3:
        return None
    dim = image.dims[-3]
    return (image[dim].values if dim in image.coords else np.arange(image.sizes[dim])).astype(float)


def one_plane(image: xr.DataArray, bias: float | None) -> xr.DataArray:
    """Return the plane of a stack nearest to a bias; an image as it is.

    Raises
    ------
    FigureError
        If the image has other leading dims, or a stack is left without a bias.
    """
    if image.ndim not in (2, 3):
        raise FigureError(f"an image or a stack of planes can be drawn, not dims {image.dims}")
    places = plane_axis(image)
    if places is None:
        return image
    if bias is None:
        bias = float(places[len(places) // 2])
    return image.isel({image.dims[0]: int(np.abs(places - bias).argmin())})


def one_kind(image: xr.DataArray, kind_of_defect: str | None) -> xr.DataArray:
    """Return the part of a kernel that belongs to one kind of defect, the first if None.

    Raises
    ------
    FigureError
        If there is no such kind.
    """
    if "kind" not in image.dims:
        return image
    names = [str(name) for name in image["kind"].values]
    chosen = names[0] if kind_of_defect is None else kind_of_defect
    if chosen not in names:
        raise FigureError(f"no kind {chosen!r}; there are {', '.join(names)}")
    return image.isel(kind=names.index(chosen))


def bias_words(image: xr.DataArray) -> str:
    """Write the bias of an image as it ends a sentence, such as " at 50 mV"; nothing without."""
    if "bias" not in image.coords or image["bias"].ndim:
        return ""
    units = str(image["bias"].attrs.get("units", "V"))
    value = float(image["bias"])
    return f" at {1e3 * value:.4g} mV" if units == "V" else f" at {value:.4g} {units}"
