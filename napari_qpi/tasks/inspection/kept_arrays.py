"""`KeptArrays`: one array for a layer while its numbers stay, by which its transforms are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from napari.layers import Layer
from numpy.typing import NDArray

from napari_qpi.layers.geometry import Geometry, layer_geometry

__all__ = ["KeptArrays", "same_mask"]


@dataclass(frozen=True, eq=False)
class _Copy:
    """The layer, and its state, that an array was taken from."""

    layer: Layer
    numbers: object
    geometry: Geometry
    array: xr.DataArray


class KeptArrays:
    """Give the array again that was taken from a layer before, as long as it holds the same."""

    def __init__(self) -> None:
        self._copies: dict[str, _Copy] = {}

    def keep(self, role: str, layer: Layer, array: xr.DataArray) -> xr.DataArray:
        """Return the array taken from a layer earlier, or keep this one if the layer has changed.

        Parameters
        ----------
        role : str
            What the array is looked at as; of each role the latest is kept.
        layer : napari.layers.Layer
            Where it comes from.
        array : xarray.DataArray
            As it was taken just now.
        """
        known, geometry = self._copies.get(role), layer_geometry(layer)
        if (
            known is not None
            and known.layer is layer
            and known.numbers is layer.data
            and known.geometry == geometry
        ):
            return known.array
        self._copies[role] = _Copy(layer, layer.data, geometry, array)
        return array

    def forget(self, layer: Layer) -> None:
        """Take the array of a layer anew: its numbers have changed in their place."""
        self._copies = {
            role: known for role, known in self._copies.items() if known.layer is not layer
        }


def same_mask(
    mask: NDArray[np.bool_] | None, before: NDArray[np.bool_] | None
) -> NDArray[np.bool_] | None:
    """Return the mask as it was before if it has the same pixels."""
    if mask is None or before is None:
        return mask
    return before if np.array_equal(mask, before) else mask
