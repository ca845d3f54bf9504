"""The choice of a scan's main channel, when none is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["channel_preference", "main_channel", "shows_the_sample"]

_RANK = {"didv": 0, "topography": 1, "current": 2, "other": 3, "bias": 4}
# Less than any feedback leaves: at constant height Z is a constant, or a plane along the sample.
_FLAT_NM = 1e-4
# Neighbouring rows of lock-in noise correlate by 0.05 at most in five real files (the low-pass
# filter acts along the rows only). No real 2-D map with the lock-in on was at hand.
_MIN_ROW_CORRELATION = 0.1
_CHANCE_SIGMAS = 5
_TELLING_ROW_CORRELATION = 0.5
_MIN_VALUES = 500
_MAX_ROWS = 512


def main_channel(dataset: xr.Dataset) -> xr.DataArray:
    """Choose the channel the user means when they name none.

    A dI/dV map or cube comes before topography, topography before current, measured before
    derived only within a quantity, forward before backward. A dI/dV image that is mere noise (the
    lock-in was off) and the topography of a scan at constant height come after all the others.

    Raises
    ------
    KeyError
        If the data set holds no image channel.
    """
    images = [image for image in dataset.data_vars.values() if {"y", "x"} <= set(image.dims)]
    if not images:
        raise KeyError("no image channel in this scan")
    return min(images, key=channel_preference)


def channel_preference(image: xr.DataArray) -> tuple[bool, int, bool, bool]:
    """Return a sort key that puts the channel to look at first."""
    return (
        not shows_the_sample(image),
        _RANK.get(image.attrs.get("quantity", "other"), _RANK["other"]),
        bool(image.attrs.get("derived")),
        image.attrs.get("direction") == "backward",
    )


def shows_the_sample(image: xr.DataArray) -> bool:
    """Tell whether a channel can show anything, judged by its values.

    Instruments store the lock-in's channel and Z whether or not these were in use, so the headers
    do not tell. Only topographs and dI/dV images can be found empty; cubes and lazy arrays are
    taken to show something.

    Parameters
    ----------
    image : xarray.DataArray
        A channel of `open_scan`.

    Returns
    -------
    bool
        False for a topograph that is a plane, and for a dI/dV image whose neighbouring rows have
        nothing in common.
    """
    if image.dims != ("y", "x") or not isinstance(image.data, np.ndarray):
        return True
    quantity = image.attrs.get("quantity")
    if quantity == "topography":
        return not _is_plane(image.values, _FLAT_NM)
    if quantity == "didv":
        return not _is_noise(image.values)
    return True


def _is_plane(image: np.ndarray, tolerance: float) -> bool:
    """Return whether an image is a plane, within `tolerance` (standard deviation in nm)."""
    step = -(-max(image.shape) // _MAX_ROWS)
    image = image[::step, ::step]
    finite = np.isfinite(image)
    rows, columns = np.nonzero(finite)
    if not rows.size:
        return True
    values = image[finite].astype(float)
    values -= values.mean()
    if np.ptp(values) == 0:
        return True
    design = np.stack([rows - rows.mean(), columns - columns.mean()], axis=1)
    slopes = np.linalg.lstsq(design.T @ design, design.T @ values, rcond=None)[0]
    return float(np.std(values - design @ slopes)) < tolerance


def _is_noise(image: np.ndarray) -> bool:
    """Compare the correlation of neighbouring rows with what chance gives.

    Rows are freed of their median and of outliers. Two independent rows of n values with the
    autocorrelation r correlate by ``sqrt(sum(r**2) / n)``; the sum follows from the rows' mean
    power spectrum.
    """
    first = np.arange(0, len(image) - 1, max(1, len(image) // _MAX_ROWS))
    upper, lower = image[first], image[first + 1]
    whole = np.isfinite(upper).all(axis=1) & np.isfinite(lower).all(axis=1)
    rows = np.stack([upper[whole], lower[whole]]).astype(float)
    if rows[0].size < _MIN_VALUES:
        return not np.isfinite(image).any()  # too few to tell noise from anything
    rows -= np.median(rows, axis=2, keepdims=True)
    rows = np.clip(rows, *np.percentile(rows, [1, 99]))
    rows -= rows.mean(axis=(1, 2), keepdims=True)
    power = np.sqrt((rows**2).sum(axis=(1, 2)).prod())
    if power == 0:
        return True
    correlation = (rows[0] * rows[1]).sum() / power
    spectrum = (np.abs(np.fft.fft(rows, axis=2)) ** 2).mean(axis=(0, 1))
    memory = spectrum.size * (spectrum**2).sum() / spectrum.sum() ** 2
    chance = _CHANCE_SIGMAS * np.sqrt(memory / rows[0].size)
    bound = max(_MIN_ROW_CORRELATION, min(chance, _TELLING_ROW_CORRELATION))
    return bool(correlation < bound)
