"""Steps that detection and snapping share: a checked, flattened plane, blobs and their peaks."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "DetectionError",
    "MaskedImage",
    "blob_response",
    "checked_plane",
    "flattened",
    "refined_peaks",
]

_MAX_ELONGATION = 3.0


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


def flattened(values: NDArray[np.float64], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
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


def blob_response(spots: NDArray[np.float64], size: float) -> NDArray[np.float64]:
    """Filter for bright spots of a diameter in px: scale-normalised Laplacian of Gaussian."""
    from scipy import ndimage

    sigma = size / (2.0 * np.sqrt(2.0))
    return np.asarray(-(sigma**2) * ndimage.gaussian_laplace(spots, sigma, mode="reflect"))


def refined_peaks(
    response: NDArray[np.float64], peaks: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Fit quadratics to peaks: the sub-pixel offset of each, and True where it is round."""
    padded = np.pad(response, 1, mode="reflect")
    around = np.array(
        [padded[row : row + 3, col : col + 3] for row, col in peaks], dtype=np.float64
    ).reshape(-1, 3, 3)
    slope = np.stack(
        [
            (around[:, 2, :] - around[:, 0, :]).sum(axis=1) / 6,
            (around[:, :, 2] - around[:, :, 0]).sum(axis=1) / 6,
        ],
        axis=1,
    )
    rows = around.sum(axis=2) / 3
    cols = around.sum(axis=1) / 3
    curvature = np.empty((len(around), 2, 2))
    curvature[:, 0, 0] = rows[:, 2] - 2 * rows[:, 1] + rows[:, 0]
    curvature[:, 1, 1] = cols[:, 2] - 2 * cols[:, 1] + cols[:, 0]
    curvature[:, 0, 1] = curvature[:, 1, 0] = (
        around[:, 2, 2] + around[:, 0, 0] - around[:, 0, 2] - around[:, 2, 0]
    ) / 4
    eigenvalues = np.linalg.eigvalsh(curvature)
    round_enough = (eigenvalues[:, 1] < 0) & (
        eigenvalues[:, 0] > _MAX_ELONGATION * eigenvalues[:, 1]
    )
    offset = np.zeros((len(around), 2))
    if round_enough.any():
        offset[round_enough] = -np.linalg.solve(
            curvature[round_enough], slope[round_enough][:, :, None]
        )[:, :, 0]
    return np.clip(offset, -0.6, 0.6), round_enough
