"""The images of a result that figures show: plane of a stack, kernel of a kind, mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.inspect.axes import nearest_plane
from qpi_kernels.inspect.figures.kind import FigureError
from qpi_kernels.inspect.fourier_transform import fourier
from qpi_kernels.result import KernelResult

__all__ = [
    "bias_words",
    "clearest_bias",
    "one_kind",
    "one_plane",
    "plane_axis",
    "require_result",
]

# Waves that fit less often into the window are told from a background by nothing.
_MIN_PERIODS = 3.0
_ONE_PLANE = 0.1


def require_result(result: Any, name: str) -> KernelResult:
    """Return a result, or raise `FigureError` for anything else."""
    if not isinstance(result, KernelResult):
        raise FigureError(
            f"the figure {name!r} is made of a KernelResult, not {type(result).__name__}"
        )
    return result


def clearest_bias(result: KernelResult) -> float | None:
    """Return the bias at which a kernel's waves stand out most; None without planes.

    The power of what fits at least three times into the kernel's window (longer waves look like a
    background, as those at a band's onset do), over the variance of the kernel's pixels.
    """
    biases = plane_axis(result.residual)
    if biases is None:
        return None
    kernel = result.kernel
    power = fourier(kernel, scale="psd")
    q = np.hypot(power["q_y"], power["q_x"])
    waves = power.where(q > _MIN_PERIODS * max(power.attrs["dq_y"], power.attrs["dq_x"]))
    share = waves.mean(("q_y", "q_x")) / (result.std.astype(float) ** 2).mean(("y", "x"))
    if "kind" in share.dims:
        share = share.max("kind")
    known = np.asarray(share.values, float)
    known = np.where(np.isfinite(known), known, 0.0)
    if known.shape != biases.shape or not known.any():
        return float(biases[len(biases) // 2])
    return float(biases[int(known.argmax())])


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
        If the image has other leading dims, or the bias is beyond those of the stack.
    """
    if image.ndim not in (2, 3):
        raise FigureError(f"an image or a stack of planes can be drawn, not dims {image.dims}")
    places = plane_axis(image)
    if places is None:
        return image
    if bias is None:
        bias = float(places[len(places) // 2])
    low, high = float(places.min()), float(places.max())
    # A step beyond the ends belongs to them; a single plane has no step.
    reach = float(np.abs(np.diff(places)).max()) if len(places) > 1 else max(abs(low), _ONE_PLANE)
    if not low - reach <= bias <= high + reach:
        name = str(image.dims[0])
        units = "V" if name == "bias" else ""
        raise FigureError(
            f"no plane is near {name} {bias:g} {units}".rstrip()
            + f": there are {len(places)} from {low:.4g} to {high:.4g} {units}".rstrip()
        )
    return image.isel({image.dims[0]: nearest_plane(places, bias)})


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
