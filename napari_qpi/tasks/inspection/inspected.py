"""`Inspected`: the arrays that the Inspect dock looks at, taken from layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari_qpi.layers.conversion import (
    METADATA_KEY,
    mask_from_layer,
    observation_from_layer,
    result_of,
)
from napari_qpi.layers.geometry import GEOMETRY_KEY, layer_geometry
from napari_qpi.layers.prepared import PreparationRecord, described_image, prepared_of, record_of
from napari_qpi.layers.scan_source import ScanSource

if TYPE_CHECKING:
    from qpi_kernels.result import KernelResult

__all__ = [
    "ROLES",
    "Inspected",
    "InspectedKernel",
    "InspectedMap",
    "extracted_from",
    "is_kernel_layer",
]

ROLES = ("map", "kernel", "residual")
"""Names of the arrays that `Inspected.image` gives."""

_KERNEL_ROLES = ("kernel", "true kernel")


def is_kernel_layer(layer: Layer) -> bool:
    """Return whether a layer shows the kernel of one kind of defect."""
    role = layer.metadata.get(METADATA_KEY, {}).get("role")
    return isinstance(layer, Image) and role in _KERNEL_ROLES


def extracted_from(result: KernelResult, image: Image) -> bool:
    """Return whether a result was extracted from what a layer shows, by its place or its name."""
    if result.reconstruction.shape[-2:] != image.data.shape[-2:]:
        return False
    known = result.provenance
    same_place = known.get(GEOMETRY_KEY) == layer_geometry(image, ndim=2)
    return same_place or known.get("layer_name") == image.name


@dataclass(frozen=True, eq=False)
class InspectedKernel:
    """The kernel of one kind of defect, and the extraction that made it.

    Parameters
    ----------
    image, std : xarray.DataArray or None
        The kernel and its standard deviation, counted from the kernel's centre.
    name : str
        Of its layer.
    result : KernelResult or None
        What the layer was made from.
    kind : str or None
        Which kind of several.
    path : str or None
        File that the result was read from.
    residual_mask : array of bool, (y, x), or None
        True where a pixel counted in the extraction.
    draws : xarray.DataArray or None
        Errors of the kernel, see `KernelResult.draws`.
    """

    image: xr.DataArray | None = None
    std: xr.DataArray | None = None
    name: str = ""
    result: KernelResult | None = None
    kind: str | None = None
    path: str | None = None
    residual_mask: NDArray[np.bool_] | None = None
    draws: xr.DataArray | None = None

    @classmethod
    def of_layer(cls, layer: Image) -> InspectedKernel:
        """Take the kernel that a layer shows.

        Raises
        ------
        LayerConversionError
            If the layer is no image.
        """
        result, kind = result_of(layer), layer.metadata.get(METADATA_KEY, {}).get("kind")
        if result is None:
            return cls(_centred(observation_from_layer(layer)), name=layer.name, kind=kind)
        kernel, std, draws = result.kernel, result.std, result.draws
        if kind is not None:
            kernel, std = kernel.sel(kind=kind), std.sel(kind=kind)
            draws = None if draws is None else draws.sel(kind=kind)
        path = layer.source.path
        return cls(
            kernel, std, layer.name, result, kind, None if path is None else str(path),
            None if result.mask is None else np.asarray(result.mask.values, bool), draws,
        )  # fmt: skip

    @property
    def residual(self) -> xr.DataArray | None:
        """Residual of the extraction."""
        return None if self.result is None else self.result.residual


@dataclass(frozen=True, eq=False)
class InspectedMap:
    """A map or a stack, and where it comes from.

    Parameters
    ----------
    image : xarray.DataArray or None
        ``(y, x)`` or ``(bias, y, x)``, in nm (or pixels) from the first pixel's centre.
    name : str
        Of its layer.
    mask : array of bool, (y, x), or None
        True where a pixel counts.
    prepared_mask : bool
        Whether the mask is the preparation's own.
    topograph : xarray.DataArray or None
        Of the same scan and the same pixels.
    source : ScanSource or None
        File that holds it.
    prepared : PreparationRecord or None
        How it was prepared.
    history : tuple of dict
        The steps of that preparation.
    of_result : bool
        Whether it is that of the kernel's result, not of a layer.
    """

    image: xr.DataArray | None = None
    name: str = ""
    mask: NDArray[np.bool_] | None = None
    prepared_mask: bool = False
    topograph: xr.DataArray | None = None
    source: ScanSource | None = None
    prepared: PreparationRecord | None = None
    history: tuple[dict[str, Any], ...] = ()
    of_result: bool = False

    @classmethod
    def of_layer(
        cls, layer: Image, excluded: Layer | None = None, topograph: Image | None = None
    ) -> InspectedMap:
        """Take the map that a layer shows.

        Parameters
        ----------
        layer : napari.layers.Image
            The map or stack.
        excluded : napari.layers.Layer, optional
            Marks the pixels that do not count; left out, the mask of a prepared map counts.
        topograph : napari.layers.Image, optional
            Of the same scan.

        Raises
        ------
        LayerConversionError
            If the layer is no map.
        """
        before = prepared_of(layer)
        mask = None if before is None or before.mask.all() else before.mask
        if excluded is not None:
            mask = mask_from_layer(excluded, layer)
        return cls(
            image=described_image(layer),
            name=layer.name,
            mask=mask,
            prepared_mask=excluded is None and mask is not None,
            topograph=None if topograph is None else described_image(topograph),
            source=ScanSource.of(layer),
            prepared=record_of(layer),
            history=() if before is None else tuple(dict(entry) for entry in before.history),
        )

    @classmethod
    def of_kernel(cls, kernel: InspectedKernel) -> InspectedMap:
        """Take the map that a kernel was extracted from; without its result there is none."""
        if kernel.result is None:
            return cls()
        name = f"observation of {kernel.name}"
        return cls(kernel.result.observation, name, kernel.residual_mask, of_result=True)


@dataclass(frozen=True, eq=False)
class Inspected:
    """Map and kernel under inspection; they stay when their layers leave the viewer.

    Parameters
    ----------
    map : InspectedMap
        Without an image where there is none.
    kernel : InspectedKernel
        Likewise.
    """

    map: InspectedMap = field(default_factory=InspectedMap)
    kernel: InspectedKernel = field(default_factory=InspectedKernel)

    def image(self, role: str) -> xr.DataArray | None:
        """Return the array of one of `ROLES`."""
        if role == "residual":
            return self.kernel.residual
        return self.map.image if role == "map" else self.kernel.image

    def name(self, role: str) -> str:
        """Name what an array shows: the layer it came from."""
        if role == "residual":
            return f"residual of {self.kernel.name}"
        return self.map.name if role == "map" else self.kernel.name


def _centred(kernel: xr.DataArray) -> xr.DataArray:
    """Count the coordinates of a kernel from its centre, index ``(h//2, w//2)``."""
    moved = {
        axis: (axis, kernel[axis].values - float(kernel[axis][size // 2]), kernel[axis].attrs)
        for axis, size in zip(("y", "x"), kernel.shape[-2:], strict=True)
    }
    return kernel.assign_coords(moved)
