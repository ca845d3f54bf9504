"""`Prepared`: an image on its way from the raw file to the extraction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.defects import Defects

__all__ = ["PreparationError", "Prepared", "Sampled", "label_image"]

_BIAS_RTOL = 1e-6
_BIAS_ATOL_V = 1e-9


class PreparationError(ValueError):
    """An image can not be prepared as asked; the message says what to change."""


def label_image(image: ArrayLike | xr.DataArray) -> xr.DataArray:
    """Label an image as a DataArray with dims (y, x) or (bias, y, x); dask stays lazy.

    Raises
    ------
    PreparationError
        If it has another shape or other dims, or is complex.
    """
    if not isinstance(image, xr.DataArray):
        array: Any = image if hasattr(image, "dask") else np.asarray(image)
        if array.ndim not in (2, 3):
            raise PreparationError(
                f"an image must be (y, x) or (bias, y, x), not of shape {array.shape}"
            )
        image = xr.DataArray(array, dims=("bias", "y", "x")[3 - array.ndim :])
    if image.ndim not in (2, 3) or image.dims[-2:] != ("y", "x"):
        raise PreparationError(
            f"an image must have the dims (y, x) or (bias, y, x), not {image.dims}"
        )
    if image.dtype.kind == "c":
        raise PreparationError(
            "an image must hold real numbers; take the real part, magnitude or phase"
        )
    return image


@dataclass(frozen=True, eq=False)
class Sampled:
    """A resampled image and what it was read from, so that a next move reads from there, too.

    ``known`` is False where a move read beyond the image before it: no position is right there.
    """

    image: xr.DataArray
    source: xr.DataArray
    positions: NDArray[np.float64]
    known: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image with its mask, its defects and what has been done to it.

    Parameters
    ----------
    image : xarray.DataArray
        ``(y, x)`` or ``(bias, y, x)``, numpy or dask, row 0 at the top; ``y`` and ``x`` in nm
        where the pitch is known.
    mask : array of bool, (y, x)
        True where a pixel counts.
    defects : Defects, optional
        In pixels of the image.
    report : mapping of str to mapping
        By the name of each step, the numbers that it found, with their units in the names.
    history : tuple of mapping
        ``{"step": name, **parameters}`` of each step so far, JSON-compatible.
    channels : mapping of str to xarray.DataArray
        Other channels of the same pixels, by what they are to the steps that ask for them:
        ``topography``, ``current``, ``retrace``. Steps that move pixels move them, too; all other
        steps leave them as they were measured.
    """

    image: xr.DataArray
    mask: NDArray[np.bool_]
    defects: Defects | None = None
    report: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    history: tuple[Mapping[str, Any], ...] = ()
    channels: Mapping[str, xr.DataArray] = field(default_factory=dict)
    sampled: Sampled | None = field(default=None, repr=False)

    @classmethod
    def start(
        cls,
        image: ArrayLike | xr.DataArray,
        mask: ArrayLike | None = None,
        defects: Defects | ArrayLike | None = None,
        channels: Mapping[str, ArrayLike | xr.DataArray] | None = None,
    ) -> Prepared:
        """Check a raw image and what belongs to it.

        Parameters
        ----------
        image : array or xarray.DataArray
            ``(y, x)`` or ``(bias, y, x)``; NaN where nothing was measured.
        mask : array of bool, (y, x), optional
            True where a pixel counts; all when left out. NaN never counts, whatever the mask.
        defects : Defects or array, (N, 2), optional
            Positions (row, col) in pixels.
        channels : mapping, optional
            Other channels of the same pixels; they get the coordinates y and x of the image.

        Raises
        ------
        PreparationError
            If the shapes do not fit together.
        """
        labelled = label_image(image)
        shape = labelled.shape[-2:]
        counted = np.ones(shape, bool) if mask is None else np.array(mask)
        if counted.shape != shape or counted.dtype != np.bool_:
            raise PreparationError(
                f"the mask must be boolean with the shape {shape} of the image, not "
                f"{counted.dtype} with {counted.shape}"
            )
        table = Defects(defects) if not isinstance(defects, Defects | None) else defects
        others = {name: label_image(channel) for name, channel in (channels or {}).items()}
        for name, channel in others.items():
            if channel.shape[-2:] != shape:
                raise PreparationError(
                    f"channel {name!r} has {channel.shape[-2:]} pixels, the image {shape}"
                )
        others = {name: _on_pixels_of(labelled, channel) for name, channel in others.items()}
        return cls(labelled, counted, table, channels=others)


def _on_pixels_of(image: xr.DataArray, channel: xr.DataArray) -> xr.DataArray:
    """Give a channel the image's y and x, and its biases where they are the same but for rounding.

    xarray aligns by coordinates, to the bit: pixels that differ by rounding would be lost.
    """
    same = [name for name in ("y", "x") if name in image.coords]
    channel = channel.drop_vars(["y", "x"], errors="ignore")
    if "bias" in image.coords and "bias" in channel.coords:
        wanted, known = image["bias"].variable, channel["bias"].variable
        fits = wanted.dims == known.dims and wanted.shape == known.shape
        if fits and np.allclose(known, wanted, rtol=_BIAS_RTOL, atol=_BIAS_ATOL_V):
            same.append("bias")
    return channel.assign_coords({name: image.coords[name].variable for name in same})
