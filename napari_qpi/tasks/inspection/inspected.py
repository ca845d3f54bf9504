"""`Inspected`: the arrays that the Inspect dock looks at, taken from layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from napari.layers import Image, Layer, Points
from numpy.typing import NDArray

from napari_qpi.layers.conversion import (
    METADATA_KEY,
    defects_from_points,
    mask_from_layer,
    observation_from_layer,
    result_of,
)
from napari_qpi.layers.geometry import GEOMETRY_KEY, layer_geometry
from napari_qpi.layers.prepared import PreparationRecord, described_image, prepared_of, record_of
from napari_qpi.layers.scan_source import ScanSource
from napari_qpi.tasks.inspection.kept_arrays import same_mask
from qpi_kernels.defects import Defects

if TYPE_CHECKING:
    from qpi_kernels.result import KernelResult

__all__ = ["ROLES", "Inspected", "extracted_from", "is_kernel_layer"]

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
class Inspected:
    """The arrays under inspection; they stay when their layers leave the viewer.

    Parameters
    ----------
    map : xarray.DataArray or None
        ``(y, x)`` or ``(bias, y, x)``, in nm (or pixels) from the first pixel's centre.
    kernel, std : xarray.DataArray or None
        Kernel of one kind of defect and its standard deviation, counted from the kernel's centre.
    residual : xarray.DataArray or None
        Of the extraction that gave the kernel.
    mask : array of bool, (y, x), or None
        True where a pixel of the map counts.
    residual_mask : array of bool, (y, x), or None
        True where a pixel counted in the extraction that gave the kernel.
    defects : Defects or None
        Marks on the map, in its pixels.
    result : KernelResult or None
        What the kernel's layer was made from.
    kind : str or None
        Which kind of several.
    map_name, kernel_name : str
        Names of the layers.
    source : ScanSource or None
        File that holds the map.
    prepared : PreparationRecord or None
        How the map was prepared.
    topograph : xarray.DataArray or None
        Of the same scan and the same pixels.
    history : tuple of dict
        The steps of that preparation.
    kernel_path : str or None
        File that the result was read from.
    of_result : bool
        Whether the map is that of the kernel's result, not of a layer.
    prepared_mask : bool
        Whether the mask is the preparation's own.
    """

    map: xr.DataArray | None = None
    kernel: xr.DataArray | None = None
    std: xr.DataArray | None = None
    residual: xr.DataArray | None = None
    mask: NDArray[np.bool_] | None = None
    residual_mask: NDArray[np.bool_] | None = None
    defects: Defects | None = None
    result: KernelResult | None = None
    kind: str | None = None
    map_name: str = ""
    kernel_name: str = ""
    source: ScanSource | None = None
    prepared: PreparationRecord | None = None
    topograph: xr.DataArray | None = None
    history: tuple[dict[str, Any], ...] = ()
    kernel_path: str | None = None
    of_result: bool = False
    prepared_mask: bool = False

    def image(self, role: str) -> xr.DataArray | None:
        """Return the array of one of `ROLES`."""
        found: xr.DataArray | None = getattr(self, role)
        return found

    def name(self, role: str) -> str:
        """Name what an array shows: the layer it came from."""
        if role == "residual":
            return f"residual of {self.kernel_name}"
        return self.map_name if role == "map" else self.kernel_name

    def with_map(
        self,
        layer: Image | None,
        excluded: Layer | None = None,
        points: Points | None = None,
        topograph: Image | None = None,
    ) -> Inspected:
        """Look at another map.

        Parameters
        ----------
        layer : napari.layers.Image or None
            The map or stack.
        excluded : napari.layers.Layer, optional
            Marks the pixels that do not count; left out, the mask of a prepared map counts.
        points : napari.layers.Points, optional
            Defects.
        topograph : napari.layers.Image, optional
            Of the same scan.

        Raises
        ------
        LayerConversionError
            If the layer is no map.
        """
        if layer is None:
            return replace(
                self, map=None, mask=None, defects=None, map_name="", source=None, prepared=None,
                topograph=None, history=(), of_result=False, prepared_mask=False,
            )  # fmt: skip
        before = prepared_of(layer)
        mask = None if before is None or before.mask.all() else before.mask
        if excluded is not None:
            mask = mask_from_layer(excluded, layer)
        return replace(
            self,
            map=described_image(layer),
            mask=mask,
            defects=None if points is None else defects_from_points(points, layer),
            map_name=layer.name,
            source=ScanSource.of(layer),
            prepared=record_of(layer),
            history=() if before is None else tuple(dict(entry) for entry in before.history),
            topograph=None if topograph is None else described_image(topograph),
            of_result=False,
            prepared_mask=excluded is None and mask is not None,
        )

    def with_observation(self) -> Inspected:
        """Look at the map that the kernel was extracted from, where no map's layer is there."""
        if self.result is None:
            return self
        return replace(
            self,
            map=self.result.observation,
            mask=self.residual_mask,
            map_name=f"observation of {self.kernel_name}",
            of_result=True,
        )

    def with_kernel(self, layer: Image | None) -> Inspected:
        """Look at another kernel, with the residual of the extraction that made it.

        Raises
        ------
        LayerConversionError
            If the layer is no image.
        """
        if layer is None:
            return replace(
                self, kernel=None, std=None, residual=None, residual_mask=None, result=None,
                kind=None, kernel_name="", kernel_path=None,
            )  # fmt: skip
        known = layer.metadata.get(METADATA_KEY, {})
        result, kind = result_of(layer), known.get("kind")
        if result is None:
            kernel, std = _centred(observation_from_layer(layer)), None
        elif kind is None:
            kernel, std = result.kernel, result.std
        else:
            kernel, std = result.kernel.sel(kind=kind), result.std.sel(kind=kind)
        path = layer.source.path if result is not None else None
        return replace(
            self,
            kernel=kernel,
            std=std,
            residual=None if result is None else result.residual,
            residual_mask=same_mask(_counted(result), self.residual_mask),
            result=result,
            kind=kind,
            kernel_name=layer.name,
            kernel_path=None if path is None else str(path),
        )


def _counted(result: KernelResult | None) -> NDArray[np.bool_] | None:
    """Return the pixels that counted in an extraction, None where all did."""
    mask = None if result is None else result.mask
    return None if mask is None else np.asarray(mask.values, bool)


def _centred(kernel: xr.DataArray) -> xr.DataArray:
    """Count the coordinates of a kernel from its centre, index ``(h//2, w//2)``."""
    moved = {
        axis: (axis, kernel[axis].values - float(kernel[axis][size // 2]), kernel[axis].attrs)
        for axis, size in zip(("y", "x"), kernel.shape[-2:], strict=True)
    }
    return kernel.assign_coords(moved)
