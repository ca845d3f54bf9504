"""Pixel pitch and first axis of plain arrays, from options or coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Biases", "PixelPitch", "as_biases", "as_pitch", "pitch_of", "without_bias"]

# As they are given: one pitch or (y, x) in nm; one bias or one for each plane in V.
PixelPitch = float | tuple[float, float]
Biases = float | Sequence[float] | np.ndarray

_EVEN = 1e-4


def as_pitch(value: Any) -> tuple[float, float] | None:
    """Read a pixel pitch in nm.

    Parameters
    ----------
    value : float, pair of float or None
        One number for square pixels, or ``(y, x)``.

    Returns
    -------
    tuple of float or None
        ``(y, x)`` in nm.

    Raises
    ------
    ValueError
        If it is not one or two positive numbers.
    """
    if value is None:
        return None
    numbers = np.atleast_1d(np.asarray(value, dtype=float)).ravel()
    if numbers.size not in (1, 2) or not np.isfinite(numbers).all() or (numbers <= 0).any():
        raise ValueError(f"pixel_nm must be one or two (y, x) positive numbers, not {value!r}")
    return float(numbers[0]), float(numbers[-1])


def as_biases(value: Any, planes: int) -> np.ndarray | None:
    """Read the biases of an image or a stack.

    Parameters
    ----------
    value : float, sequence of float or None
        In V.
    planes : int
        Number of planes of a stack, 1 of an image.

    Returns
    -------
    array or None
        ``(planes,)``, or a scalar of a single plane.

    Raises
    ------
    ValueError
        If there is not one finite number for each plane.
    """
    if value is None:
        return None
    try:
        biases = np.asarray(value, dtype=float).squeeze()
    except (TypeError, ValueError) as error:
        raise ValueError(f"bias is not numbers ({error})") from error
    if biases.size != planes or not np.isfinite(biases).all():
        raise ValueError(
            f"bias has {biases.size} values for {planes} planes; they must be finite numbers"
        )
    return biases


def pitch_of(array: xr.DataArray) -> tuple[float, float] | None:
    """Return the pitch ``(y, x)`` in nm from the coordinates of an array.

    None when the coordinates are missing, count pixels or are not even.
    """
    pitches = []
    for axis in ("y", "x"):
        if axis not in array.coords or array.coords[axis].attrs.get("units") != "nm":
            return None
        values = np.asarray(array.coords[axis].values, float)
        if values.size < 2:
            pitches.append(math.nan)
            continue
        steps = np.abs(np.diff(values))
        pitch = float(values[-1] - values[0]) / (values.size - 1)
        if not abs(pitch) > 0 or np.abs(steps - abs(pitch)).max() > _EVEN * abs(pitch):
            return None
        pitches.append(abs(pitch))
    known = [pitch for pitch in pitches if not math.isnan(pitch)]
    if not known:
        return None
    # A single row or column has no pitch of its own: its pixels are taken as square.
    y, x = (known[0] if math.isnan(pitch) else pitch for pitch in pitches)
    return y, x


def without_bias(dataset: xr.Dataset) -> xr.Dataset:
    """Call the first axis of a stack ``plane``, numbered from 0, if no bias is known for it."""
    if "bias" not in dataset.dims or "bias" in dataset.coords:
        return dataset
    dataset = dataset.rename_dims(bias="plane")
    return dataset.assign_coords(plane=("plane", np.arange(dataset.sizes["plane"])))
