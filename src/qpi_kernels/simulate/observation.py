"""Maps of many defects: superposed kernels, scan-line offsets and noise."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.forward import ForwardModel

__all__ = ["observe", "scatter_defects"]


def scatter_defects(
    count: int,
    shape: tuple[int, int],
    seed: int,
    *,
    min_distance_px: float = 0.0,
    margin_px: float = 0.0,
) -> Defects:
    """Draw defects at random sub-pixel positions.

    Parameters
    ----------
    count : int
        How many.
    shape : tuple of int
        Image size (rows, columns).
    seed : int
        Seed of the draw.
    min_distance_px : float
        No two defects are closer than this.
    margin_px : float
        How far outside the image they may lie; negative keeps them inside by so much.

    Returns
    -------
    Defects
        One kind, unit strengths.

    Raises
    ------
    ValueError
        If so many do not fit at this distance.
    """
    rng = np.random.default_rng(seed)
    low = np.full(2, -margin_px - 0.5)
    high = np.array(shape) + margin_px - 0.5
    points = np.zeros((0, 2))
    for _ in range(1000 * count):
        if len(points) == count:
            break
        candidate = rng.uniform(low, high)
        distance = np.hypot(*(points - candidate).T)
        if not len(points) or distance.min() >= min_distance_px:
            points = np.vstack([points, candidate])
    if len(points) < count:
        raise ValueError(f"{count} defects do not fit at a distance of {min_distance_px} px")
    return Defects(points)


def observe(
    kernel: xr.DataArray,
    defects: Defects,
    shape: tuple[int, int],
    *,
    noise: float = 0.0,
    row_offsets: float = 0.0,
    seed: int = 0,
) -> xr.DataArray:
    """Superpose a kernel at every defect and add noise.

    Parameters
    ----------
    kernel : xarray.DataArray
        ``(y, x)`` or ``(bias, y, x)``; ``y``, ``x`` in nm from the centre.
    defects : Defects
        Of one kind, in pixels of the map.
    shape : tuple of int
        Size of the map (rows, columns).
    noise : float
        Standard deviation of white noise, as a fraction of each clean plane's own.
    row_offsets : float
        Standard deviation of the offset of each scan line, likewise.
    seed : int
        Seed of the noise.

    Returns
    -------
    xarray.DataArray
        The map, dims as the kernel's, ``y`` and ``x`` in nm from the first pixel.
    """
    stack = kernel.values.reshape(-1, 1, *kernel.shape[-2:]).astype(np.float64)
    rows, columns = kernel.shape[-2:]
    model = ForwardModel(defects, shape, (rows, columns))
    clean: NDArray[np.float64] = model.apply(torch.from_numpy(stack)).numpy()
    rng = np.random.default_rng(seed)
    spread = clean.std(axis=(-2, -1), keepdims=True)
    noisy = clean + noise * spread * rng.standard_normal(clean.shape)
    noisy = noisy + row_offsets * spread * rng.standard_normal((*clean.shape[:-1], 1))
    coords = {
        axis: (axis, np.arange(size) * float(kernel[axis][1] - kernel[axis][0]), {"units": "nm"})
        for axis, size in zip(("y", "x"), shape, strict=True)
    }
    if "bias" in kernel.coords:
        coords["bias"] = kernel.coords["bias"]
    return xr.DataArray(
        noisy.reshape(*kernel.shape[:-2], *shape),
        dims=kernel.dims,
        coords=coords,
        name="didv",
        attrs={"units": kernel.attrs.get("units", ""), "long_name": "dI/dV", "quantity": "didv"},
    )
