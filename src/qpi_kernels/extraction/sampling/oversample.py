"""`oversample`: a map on finer pixels, of which those between its own were not measured."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.parameters import ExtractionError
from qpi_kernels.prepare.prepared import PreparationError, Prepared, label_image

__all__ = ["oversample"]


def oversample(
    observation: xr.DataArray | ArrayLike | Prepared,
    defects: Defects | ArrayLike | None = None,
    factor: int = 2,
    *,
    mask: xr.DataArray | ArrayLike | None = None,
) -> tuple[xr.DataArray, Defects]:
    """Put a map on finer pixels, NaN between its own, to extract a kernel sharper than these.

    Defects at different fractions of a pixel show different points of one kernel. On finer pixels
    each keeps its own, whereas the map's pixels would mix them. The kernel has ``factor**2`` times
    the numbers, each known from as many times fewer defects, so it pays for sharp kernels, many
    defects and little noise.

    Parameters
    ----------
    observation : DataArray, array or Prepared, (rows, columns) or (bias, rows, columns)
        The map. Of a prepared one the image and its mask count; `extract` does not learn what the
        preparation did, so rows and terraces that it levelled are not fitted again.
    defects : Defects or array, (N, 2)
        Positions in its pixels; those of a `Prepared` when left out.
    factor : int
        Finer pixels per pixel along an axis, at least 1.
    mask : array of bool, (rows, columns), optional
        True where a pixel counts; others are NaN on the finer pixels, too.

    Returns
    -------
    DataArray, (..., factor * rows, factor * columns)
        For `extract`, with windows as many times larger.
    Defects
        In finer pixels.

    Raises
    ------
    ExtractionError
        If the factor is below 1, there are no defects, or the mask does not fit.

    Examples
    --------
    >>> fine, marks = oversample(np.ones((4, 6)), [[1.5, 2.0]])
    >>> fine.shape, int(np.isfinite(fine).sum()), marks.positions.tolist()
    ((8, 12), 24, [[3.0, 4.0]])
    """
    if factor < 1:
        raise ExtractionError(f"factor must be at least 1, not {factor}")
    counted, terraces = np.ones((), bool), None
    if isinstance(observation, Prepared):
        # Imports torch, which forms do without.
        from qpi_kernels.extraction.background_choice import PixelLabels

        defects = observation.defects if defects is None else defects
        counted, terraces = observation.mask, PixelLabels.of(observation).terraces
        observation = observation.image
    if defects is None:
        raise ExtractionError("there are no defects; give their positions in pixels of the map")
    try:
        coarse = label_image(observation)
    except PreparationError as error:
        raise ExtractionError(str(error)) from error
    counted = np.broadcast_to(counted, coarse.shape[-2:])
    if terraces is not None:
        counted = counted & (terraces > 0)
    if mask is not None:
        given = np.asarray(mask)
        if given.shape != counted.shape or given.dtype != np.bool_:
            raise ExtractionError(
                f"the mask must be boolean and of the map's shape {counted.shape}, not "
                f"{given.dtype} of {given.shape}"
            )
        counted = counted & given
    rows, columns = coarse.dims[-2:]
    kind = coarse.dtype if np.issubdtype(coarse.dtype, np.floating) else np.dtype(np.float64)
    shape = (*coarse.shape[:-2], *(factor * side for side in coarse.shape[-2:]))
    values = np.full(shape, np.nan, kind)
    values[..., ::factor, ::factor] = np.where(counted, coarse.values, np.nan)
    finer = {
        name: (name, _finer(coarse[name].values, factor), coarse[name].attrs)
        for name in (rows, columns)
        if name in coarse.coords
    }
    others = {name: one for name, one in coarse.coords.items() if not {rows, columns} & {*one.dims}}
    made = xr.DataArray(
        values, dims=coarse.dims, coords=others | finer, name=coarse.name, attrs=coarse.attrs
    )
    marks = defects if isinstance(defects, Defects) else Defects(defects)
    return made, marks.moved(factor * marks.positions)


def _finer(axis: NDArray[np.floating], factor: int) -> NDArray[np.float64]:
    """Divide the steps of an even axis; the last goes on as far."""
    step = (axis[-1] - axis[0]) / max(len(axis) - 1, 1) / factor
    return np.asarray(axis[0] + step * np.arange(factor * len(axis)), np.float64)
