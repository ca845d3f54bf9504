"""`oversample`: a map on finer pixels, of which those between its own were not measured."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.prepare.prepared import label_image

__all__ = ["oversample"]


def oversample(
    observation: xr.DataArray | ArrayLike,
    defects: Defects | ArrayLike,
    factor: int = 2,
) -> tuple[xr.DataArray, Defects]:
    """Put a map on finer pixels, NaN between its own, to extract a kernel sharper than these.

    Defects at different fractions of a pixel show different points of one kernel. On finer pixels
    each keeps its own, whereas the map's pixels would mix them. The kernel has ``factor**2`` times
    the numbers, each known from as many times fewer defects, so it pays for sharp kernels, many
    defects and little noise.

    Parameters
    ----------
    observation : DataArray or array, (rows, columns) or (bias, rows, columns)
        The map.
    defects : Defects or array, (N, 2)
        Positions in its pixels.
    factor : int
        Finer pixels per pixel along an axis, at least 1.

    Returns
    -------
    DataArray, (..., factor * rows, factor * columns)
        For `extract`, with windows as many times larger.
    Defects
        In finer pixels.

    Raises
    ------
    ValueError
        If the factor is below 1.

    Examples
    --------
    >>> fine, marks = oversample(np.ones((4, 6)), [[1.5, 2.0]])
    >>> fine.shape, int(np.isfinite(fine).sum()), marks.positions.tolist()
    ((8, 12), 24, [[3.0, 4.0]])
    """
    if factor < 1:
        raise ValueError(f"factor must be at least 1, not {factor}")
    coarse = label_image(observation)
    rows, columns = coarse.dims[-2:]
    kind = coarse.dtype if np.issubdtype(coarse.dtype, np.floating) else np.dtype(np.float64)
    shape = (*coarse.shape[:-2], *(factor * side for side in coarse.shape[-2:]))
    values = np.full(shape, np.nan, kind)
    values[..., ::factor, ::factor] = coarse.values
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
