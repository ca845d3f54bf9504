"""Blobs on a plane with gaps: a checked plane, a masked matched filter, and its peaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "BlobFilter",
    "DetectionError",
    "MaskedImage",
    "checked_plane",
    "core_sigma",
    "filled_lines",
    "masked_mean",
    "refined_peaks",
]

_MAX_ELONGATION = 3.0
# A Gaussian core seen through a Gaussian window of this many core widths, its mean level taken
# out, is within 3 % of a Laplacian of Gaussian of the same width.
WINDOW_CORES = 1.35


class DetectionError(ValueError):
    """Defects can not be looked for as asked; the message says what to change."""


@runtime_checkable
class MaskedImage(Protocol):
    """An image that knows which pixels count, such as a `qpi_kernels.prepare.Prepared`."""

    @property
    def image(self) -> xr.DataArray:
        """The values, (y, x)."""
        ...

    @property
    def mask(self) -> NDArray[np.bool_]:
        """True where a pixel counts, (y, x)."""
        ...


def checked_plane(
    image: ArrayLike | xr.DataArray | MaskedImage, mask: ArrayLike | xr.DataArray | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the image as float64 and where it counts: finite and inside all masks."""
    if isinstance(image, MaskedImage):
        values, valid = checked_plane(image.image, mask)
        return values, valid & image.mask
    values = np.asarray(image, dtype=np.float64)
    if values.ndim != 2:
        raise DetectionError(
            f"defects live on one (y, x) plane, not on an array of shape "
            f"{values.shape}; choose a bias first, for example cube.sel(bias=0.1, method='nearest')"
        )
    valid = np.isfinite(values)
    if mask is not None:
        counted = np.asarray(mask, dtype=bool)
        if counted.shape != values.shape:
            raise DetectionError(
                f"the mask has shape {counted.shape}, the image {values.shape}; they must agree"
            )
        valid &= counted
    return values, valid


def filled_lines(values: NDArray[np.float64], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Fill gaps along each scan line and take out the common slope, unmoved by steps."""
    columns = np.arange(values.shape[1])
    filled = np.zeros(values.shape)
    for row, good in enumerate(valid):
        if good.any():
            filled[row] = np.interp(columns, columns[good], values[row, good])
    lag = max(1, values.shape[1] // 4)
    both = valid[:, lag:] & valid[:, :-lag]
    if both.any():
        rise = np.median((filled[:, lag:] - filled[:, :-lag])[both])
        filled -= rise / lag * columns
    return filled


def core_sigma(size: float) -> float:
    """Return the width of the Gaussian that finds a disc of a diameter best (Lindeberg, 1998)."""
    return size / float(2.0 * np.sqrt(2.0))


def masked_mean(
    values: NDArray[np.float64], valid: NDArray[np.bool_], sigma: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average the pixels that count with a Gaussian, and return the share of its weight on them."""
    share = _gaussian(valid.astype(np.float64), sigma)
    mean = _gaussian(np.where(valid, values, 0.0), sigma) / np.maximum(share, 1e-6)
    return mean, share


@dataclass(frozen=True)
class BlobFilter:
    """Matched filter for Gaussian cores over a free level, from the pixels that count alone.

    Attributes
    ----------
    response : array, (y, x)
        Best-fitting height of a core at each pixel times the root of its information: under white
        noise of unit variance it has unit variance, however much of the surroundings is masked.
    share : array, (y, x)
        Information on the height as a share of that without a mask or an edge.

    Notes
    -----
    Weighted least squares of a core T and a constant in a Gaussian window W, with all sums over
    the pixels that count (normalised convolution: H. Knutsson and C.-F. Westin, CVPR 1993).
    """

    response: NDArray[np.float64]
    share: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[np.float64], valid: NDArray[np.bool_], size: float) -> BlobFilter:
        """Filter a plane for cores of a diameter in px, bright ones positive."""
        sigma = core_sigma(size)
        window = WINDOW_CORES * sigma
        widths = [window, (window**-2 + sigma**-2) ** -0.5, (window**-2 + 2 * sigma**-2) ** -0.5]
        areas = [2 * np.pi * width**2 for width in widths]
        ones, data = valid.astype(np.float64), np.where(valid, values, 0.0)
        level, core, square = (
            area * _gaussian(ones, width) for area, width in zip(areas, widths, strict=True)
        )
        level_data, core_data = (
            area * _gaussian(data, width) for area, width in zip(areas[:2], widths[:2], strict=True)
        )
        level = np.maximum(level, 1e-6)
        information = square - core**2 / level
        whole = areas[2] - areas[1] ** 2 / areas[0]
        share = np.maximum(information / whole, 0.0)
        height = core_data - core * level_data / level
        usable = share > 1e-3
        response = np.where(usable, height / np.sqrt(np.where(usable, information, 1.0)), 0.0)
        return cls(response, share)


def _gaussian(values: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Smooth, with zeros beyond the edge: what was not measured has no weight."""
    from scipy import ndimage

    return np.asarray(ndimage.gaussian_filter(values, sigma, mode="constant", truncate=3.5))


def refined_peaks(
    response: NDArray[np.float64], peaks: NDArray[np.intp], radius: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Fit quadratics to peaks: the sub-pixel offset of each, and True where it is round."""
    steps = np.arange(-radius, radius + 1)
    rows, cols = (grid.ravel() for grid in np.meshgrid(steps, steps, indexing="ij"))
    padded = np.pad(response, radius, mode="reflect")
    around = padded[peaks[:, :1] + radius + rows, peaks[:, 1:] + radius + cols]
    terms = np.stack([np.ones_like(rows), rows, cols, rows**2, cols**2, rows * cols], axis=1)
    fit = around @ np.linalg.pinv(terms.astype(np.float64)).T
    slope = fit[:, 1:3]
    curvature = np.empty((len(around), 2, 2))
    curvature[:, 0, 0], curvature[:, 1, 1] = 2 * fit[:, 3], 2 * fit[:, 4]
    curvature[:, 0, 1] = curvature[:, 1, 0] = fit[:, 5]
    eigenvalues = np.linalg.eigvalsh(curvature)
    round_enough = (eigenvalues[:, 1] < 0) & (
        eigenvalues[:, 0] > _MAX_ELONGATION * eigenvalues[:, 1]
    )
    offset = np.zeros((len(around), 2))
    if round_enough.any():
        offset[round_enough] = -np.linalg.solve(
            curvature[round_enough], slope[round_enough][:, :, None]
        )[:, :, 0]
    furthest = 0.6 * radius
    return np.clip(offset, -furthest, furthest), round_enough
