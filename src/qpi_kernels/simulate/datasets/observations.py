"""One observation of a data set: its defects, and the published activation map."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.defects import Defects

__all__ = ["binary_activation", "dataset_defects", "paper_activation"]

_ANGSTROM_PER_NM = 10.0
_PRINTED_DECIMALS = 9


def dataset_defects(dataset: xr.Dataset, kernel: int, sample: int) -> Defects:
    r"""Give the defects with which a data set's kernel reproduces an observation.

    The scatterer of the stored kernel lies at coordinate 0, which is pixel
    ``c = kernel_centre_px``. On the public axis of 64 points from -200 to 200 Angstrom this is
    31.5, between two pixels. Pixel ``o`` of the stored kernel is thus ``A((o - c) p)`` with pitch
    ``p``, and for a scatterer at pixel ``s`` the observation is

    .. math:: Y[n] = A((n - s) p) = K[n - s + c].

    `qpi_kernels.forward.ForwardModel` takes index ``h//2`` for the centre of a kernel and
    computes ``Y[n] = K[n - s' + h//2]``. The two agree for ``s' = s + h//2 - c``: defects half a
    pixel further, towards higher row and column, undo that the model takes the kernel's centre
    half a pixel further than it is.

    Parameters
    ----------
    dataset : xarray.Dataset
        From `qpi_kernels.simulate.read_qpi_dataset`.
    kernel, sample : int
        Indices along these dimensions; an index is not the kernel's ``number``.

    Returns
    -------
    Defects
        One kind, unit strengths. They belong to the stored kernel: a kernel extracted with them
        has its scatterer at ``kernel_centre_px`` too. The scatterers' true pixels are the
        variable ``position``.
    """
    used = _positions(dataset, kernel, sample)
    middle = np.array(dataset["kernel_true"].shape[-2:]) // 2
    return Defects(used + middle - np.asarray(dataset.attrs["kernel_centre_px"]))


def paper_activation(dataset: xr.Dataset, kernel: int, sample: int) -> NDArray[np.float32]:
    """Mark an observation's scatterers on a map as the published pre-processing does.

    Parameters
    ----------
    dataset, kernel, sample
        As for `dataset_defects`.

    Returns
    -------
    array, (y, x)
        See `binary_activation`.
    """
    axis_A = dataset["x"].values * _ANGSTROM_PER_NM
    pitch_A = (axis_A[-1] - axis_A[0]) / (len(axis_A) - 1)
    positions_A = _positions(dataset, kernel, sample)[:, ::-1] * pitch_A + axis_A[0]
    # Truncation to a pixel must see the numbers that the file holds, not 99.99999999999999.
    return binary_activation(
        np.round(positions_A, _PRINTED_DECIMALS), np.round(axis_A, _PRINTED_DECIMALS)
    )


def binary_activation(
    positions_A: NDArray[np.float64], axis_A: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Mark scatterers on a map as the published pre-processing does, with all its losses.

    ``M[int((y - y0) / p), int((x - x0) / p)] = 1`` for scatterers in the central half of the field
    of view, its edges included, and nothing for the others. ``p`` is the span of the axis over
    the number of pixels, 6.25 Angstrom for the public data. The pitch of the axis is the span over
    one pixel less, 6.349 Angstrom, so the map is off the image by up to a quarter of a pixel,
    beside the truncation to whole pixels. Scatterers that fall on one pixel become one.
    (Read in ``preprocessing/activation_map.py`` of ``QPI-Dataset/QPI-Dataset-100kernels``, whose
    first index is x; the formula is taken to other fields of view by its proportions.)

    Parameters
    ----------
    positions_A : array, (N, 2)
        (x, y) in Angstrom; NaN where unused.
    axis_A : array, (side,)
        Pixel coordinates of x and y.

    Returns
    -------
    array, (y, x)
        0 and 1, float32.
    """
    first, last, side = axis_A[0], axis_A[-1], len(axis_A)
    middle, quarter = (first + last) / 2, (last - first) / 4
    kept = positions_A[(np.abs(positions_A - middle) <= quarter).all(axis=-1)]
    x, y = ((kept - first) / ((last - first) / side)).astype(np.int64).T
    activation = np.zeros((side, side), np.float32)
    activation[y, x] = 1.0
    return activation


def _positions(dataset: xr.Dataset, kernel: int, sample: int) -> NDArray[np.float64]:
    """Return the used (row, col) of one observation."""
    points = dataset["position"].isel(kernel=kernel, sample=sample).values
    return np.asarray(points[~np.isnan(points).any(axis=-1)])
