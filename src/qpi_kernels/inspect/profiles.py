"""Profiles of images over the distance from a point: of all directions or of a sector."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.inspect.axes import (
    InspectionError,
    axis_step,
    axis_unit,
    axis_values,
    image_dims,
    image_of,
    leading_coords,
)
from qpi_kernels.result import KernelResult

__all__ = ["radial_profile", "sector_profile", "white_floor"]

# Within so many steps of the q_y axis lie the offsets of rows.
_ROW_OFFSETS = 1.5
_FLOOR_FROM = 0.9


def radial_profile(
    image: xr.DataArray | KernelResult,
    *,
    centre: tuple[float, float] = (0.0, 0.0),
    step: float | None = None,
    skip_axis: bool | None = None,
    floor: bool = False,
) -> xr.Dataset:
    """Average an image over rings about a point.

    Of a Fourier transform by `fourier` the power is averaged, for the mean of magnitudes depends
    on their noise, and the result has the image's scale again.

    Parameters
    ----------
    image : xarray.DataArray or KernelResult
        The kernel of a result, ``(..., y, x)`` or ``(..., q_y, q_x)``. NaN is left out. Without
        ``attrs["scale"]``, which arithmetic drops, what has the dims of a transform counts as its
        magnitude.
    centre : tuple of float
        (y, x) or (q_y, q_x) in the image's units.
    step : float, optional
        Width of the rings; the larger step of the axes, of a padded transform its resolution.
    skip_axis : bool, optional
        Leave out ``|q_x| < 1.5 dq``, where the offsets of a map's rows lie; the innermost two rings
        are empty then. By default of a Fourier transform, but not of a kernel's, which has none:
        of an image whose origin is its middle pixel (``attrs["centred"]`` of `fourier`).
    floor : bool
        Subtract the power of white noise from that of a Fourier transform, see `white_floor`.

    Returns
    -------
    xarray.Dataset
        Dim ``r`` or ``q`` up to the frame's edge, after the leading dims; each coordinate is the
        mean distance of the ring's pixels.
        ``mean``; ``std``, its standard deviation from the scatter in the ring, where opposite
        pixels of a Fourier transform are the same and neighbours are correlated by the window;
        ``count``, the pixels; ``floor``, what was subtracted, in the scale of ``mean``.

    Raises
    ------
    InspectionError
        If the dims or coordinates do not fit, or a floor is asked for in real space.
    """
    return _profile(image, centre, step, skip_axis, floor, sector=None)


def sector_profile(
    image: xr.DataArray | KernelResult,
    angle_deg: float,
    *,
    width_deg: float = 20.0,
    centre: tuple[float, float] = (0.0, 0.0),
    step: float | None = None,
    skip_axis: bool | None = None,
    floor: bool = False,
) -> xr.Dataset:
    """Average an image over arcs about a point, along one direction.

    Parameters
    ----------
    image
        As for `radial_profile`.
    angle_deg : float
        Direction, anticlockwise from the image's horizontal axis as seen on the screen. Of a
        Fourier transform about q = 0 the opposite direction is the same.
    width_deg : float
        Full width of the sector.
    centre, step, skip_axis, floor
        As for `radial_profile`.

    Returns
    -------
    xarray.Dataset
        As of `radial_profile`; rings without a pixel in the sector are NaN.

    Raises
    ------
    InspectionError
        As `radial_profile`.
    """
    if not 0 < width_deg <= 360:
        raise InspectionError(f"width_deg must be above 0 and at most 360, not {width_deg:g}")
    return _profile(image, centre, step, skip_axis, floor, sector=(angle_deg, width_deg))


def white_floor(transform: xr.DataArray, *, skip_axis: bool | None = None) -> xr.DataArray:
    """Estimate the power of white noise beyond 0.9 of the Nyquist frequency.

    Parameters
    ----------
    transform : xarray.DataArray
        ``(..., q_y, q_x)``.
    skip_axis : bool, optional
        As for `radial_profile`.

    Returns
    -------
    xarray.DataArray
        Power (the square of an amplitude, a PSD itself), over the leading dims. The median over
        ln 2, for the power of noise is distributed exponentially: Bragg peaks do not count.
    """
    q_y, q_x = _offsets(transform, (0.0, 0.0))
    outer = np.maximum(
        *np.broadcast_arrays(np.abs(q_y) / np.abs(q_y).max(), np.abs(q_x) / np.abs(q_x).max())
    )
    used = outer > _FLOOR_FROM
    if _skips_axis(transform, skip_axis):
        used &= ~_row_offsets(transform, q_x)
    power = _power(transform)[..., used]
    lead = transform.dims[:-2]
    level = np.nanmedian(power, axis=-1) / np.log(2)
    return xr.DataArray(level, dims=lead, coords=leading_coords(transform))


def _profile(
    given: xr.DataArray | KernelResult,
    centre: tuple[float, float],
    step: float | None,
    skip_axis: bool | None,
    floor: bool,
    sector: tuple[float, float] | None,
) -> xr.Dataset:
    """Average an image over rings, or over arcs of a sector (angle, width) in degrees."""
    image = image_of(given)
    dims = image_dims(image)
    image = image.compute()  # once, where it is lazy
    transformed = dims == ("q_y", "q_x")
    if floor and not transformed:
        raise InspectionError("only a Fourier transform has a floor of white noise")
    width = _ring_width(image, dims) if step is None else step
    if not width > 0:
        raise InspectionError(f"step must be positive, not {step}")
    down, right = _offsets(image, centre)
    radius = np.hypot(down, right)
    reach = min(np.abs(down).max(), np.abs(right).max()) * (1 + 1e-9)
    ring = np.rint(radius / width).astype(np.int64)
    used = radius <= reach
    skipped = _skips_axis(image, skip_axis)
    if skipped:
        used &= ~_row_offsets(image, axis_values(image, dims[1])[None, :])
    if sector is not None:
        used &= _in_sector(down, right, *sector, both=transformed and centre == (0.0, 0.0))
    number = int(reach / width + 0.5)
    used &= ring < number
    count, mean, std = _ring_means(
        _power(image) if transformed else _floats(image), ring, used, number
    )
    pixels = count / _copies(image, dims, width, centre)
    std = std / np.sqrt(np.maximum(pixels - 1, 1))
    lead = image.dims[:-2]
    axis = "q" if transformed else "r"
    made: dict[str, Any] = {}
    if transformed:
        white = white_floor(image, skip_axis=skipped) if floor else None
        level = 0.0 if white is None else white.values[..., None]
        psd = image.attrs.get("scale") == "psd"
        mean = mean - level
        if not psd:
            # Where noise leaves nothing the root's error is that of the power, not infinite.
            power = np.maximum(mean, 0.0)
            std = std / np.maximum(2 * np.sqrt(power), np.sqrt(std) + 1e-300)
            mean = np.sqrt(power)
        if white is not None:
            made["floor"] = white if psd else np.sqrt(white)
    units = image.attrs.get("units", "")
    name = image.attrs.get("long_name", image.name or "image")
    what = {"mean": f"mean of {name}", "std": "standard deviation of the mean"}
    for key, values in (("mean", mean), ("std", std)):
        made[key] = ((*lead, axis), values, {"units": units, "long_name": what[key]})
    made["count"] = ((*lead, axis), count, {"units": "1", "long_name": "pixels"})
    if "floor" in made:
        made["floor"] = made["floor"].assign_attrs(units=units, long_name="floor of white noise")
    unit = axis_unit(image, dims[1])
    coords = leading_coords(image)
    coords[axis] = xr.Variable(
        axis,
        _mean_radii(radius[used], ring[used], number, width),
        {"units": unit, "long_name": "scattering vector" if transformed else "distance"},
    )
    return xr.Dataset(made, coords=coords, attrs={"scale": image.attrs.get("scale", "")})


def _ring_means(
    values: NDArray[np.float64], ring: NDArray[np.int64], used: NDArray[np.bool_], number: int
) -> tuple[NDArray[Any], ...]:
    """Return count, mean and standard deviation of the pixels of each ring, (..., rings)."""
    pixels = int(used.sum())
    sums = scipy.sparse.csr_array(
        (np.ones(pixels), (ring[used], np.arange(pixels))), shape=(number, pixels)
    )
    planes = values[..., used].reshape(-1, pixels)
    finite = np.isfinite(planes)
    whole = finite.all()
    filled = planes if whole else np.where(finite, planes, 0.0)
    counts = np.asarray((sums @ (np.ones((pixels, 1)) if whole else finite.T.astype(float))).T)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (sums @ filled.T).T / counts
        variance = (sums @ (filled**2).T).T / counts - mean**2
    std = np.sqrt(np.maximum(variance, 0.0))
    shape = (*values.shape[:-2], number)
    counts = np.broadcast_to(counts, mean.shape)
    return tuple(np.reshape(one, shape) for one in (counts.astype(np.int64), mean, std))


def _mean_radii(
    radius: NDArray[np.float64], ring: NDArray[np.int64], number: int, width: float
) -> NDArray[np.float64]:
    """Average the distances of each ring's pixels; the middle of a ring without any."""
    count = np.bincount(ring, minlength=number)
    total = np.bincount(ring, radius, minlength=number)
    return np.where(count > 0, total / np.maximum(count, 1), np.arange(number) * width)


def _copies(
    image: xr.DataArray, dims: tuple[str, str], width: float, centre: tuple[float, float]
) -> float:
    """Tell how many pixels of a ring count as one.

    Of a real image's transform, q and -q are copies, and the window and the padding correlate
    neighbours: along the ring over all their reach, across it at most over its width.
    """
    if dims != ("q_y", "q_x"):
        return 1.0
    reach = float(np.sqrt(image.attrs.get("correlated_pixels", 1.0)))
    across = max(1.0, width / abs(axis_step(image, "q_x")))
    return (2.0 if centre == (0.0, 0.0) else 1.0) * reach * min(reach, across)


def _offsets(
    image: xr.DataArray, centre: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distances from a point along the two axes, (rows, 1) and (1, columns)."""
    down, right = (
        axis_values(image, axis) - at for axis, at in zip(image_dims(image), centre, strict=True)
    )
    return down[:, None], right[None, :]


def _in_sector(
    down: NDArray[np.float64],
    right: NDArray[np.float64],
    angle_deg: float,
    width_deg: float,
    *,
    both: bool,
) -> NDArray[np.bool_]:
    """Mark the pixels of a sector, of the opposite one too if asked for."""
    turn = 180.0 if both else 360.0
    away = np.rad2deg(np.arctan2(-down, right)) - angle_deg
    distance = np.abs((away + turn / 2) % turn - turn / 2)
    # The centre lies in every direction.
    return np.asarray((distance <= width_deg / 2) | ((down == 0) & (right == 0)))


def _skips_axis(image: xr.DataArray, skip_axis: bool | None) -> bool:
    """Decide on the strip of row offsets: by default of transforms that are no kernel's."""
    if skip_axis is not None:
        return skip_axis
    return image_dims(image) == ("q_y", "q_x") and not image.attrs.get("centred", 0)


def _row_offsets(image: xr.DataArray, q_x: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark the strip along the second axis where row offsets lie."""
    dims = image_dims(image)
    step = float(image.attrs.get("dq_x", abs(axis_step(image, dims[1]))))
    return np.abs(q_x) < _ROW_OFFSETS * step


def _ring_width(image: xr.DataArray, dims: tuple[str, str]) -> float:
    """Choose the larger step of the axes, of a transform its resolution."""
    return max(
        float(image.attrs.get(f"d{axis}", abs(axis_step(image, axis))))
        if axis.startswith("q_")
        else abs(axis_step(image, axis))
        for axis in dims
    )


def _floats(image: xr.DataArray) -> NDArray[np.float64]:
    return np.asarray(image.values, np.float64)


def _power(transform: xr.DataArray) -> NDArray[np.float64]:
    """Return the power of a transform: a PSD itself, else the squared magnitude."""
    if transform.attrs.get("scale") == "psd":
        return _floats(transform)
    return np.asarray(np.abs(transform.values), np.float64) ** 2
