"""The result of an extraction as napari layers: residual, reconstruction, std and kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from napari_qpi.layers.conversion import (
    METADATA_KEY,
    LayerData,
    add_layers,
    ascending,
    bias_values,
)
from napari_qpi.layers.geometry import (
    GEOMETRY_KEY,
    Geometry,
    layer_geometry,
    moved_columns,
    plane_geometry,
    stack_geometry,
)
from napari_qpi.layers.placement import free_column, gap_columns
from qpi_kernels.inspect.colours import colour_limits
from qpi_kernels.kernel_files import kernel_name

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from qpi_kernels.result import KernelResult

__all__ = [
    "CAPTIONS",
    "SIGNED_COLORMAP",
    "UNDETERMINED_OPACITY",
    "first_kernel_column",
    "free_kernel_column",
    "kernel_gap",
    "kernel_layers",
    "kernel_step",
    "placed_result",
    "result_layers",
    "show_result",
    "undetermined_look",
]

SIGNED_COLORMAP = "coolwarm"
UNDETERMINED_OPACITY = 0.4
_ERRORS_IN_SCALE = 3.0
CAPTIONS = "captions"


def result_layers(
    result: KernelResult, image: Image | None = None, first: int = 0
) -> list[LayerData]:
    """Show an extraction as layers.

    Parameters
    ----------
    result : KernelResult
        What `qpi_kernels.extract` gave.
    image : napari.layers.Image, optional
        The observation's layer. Left out, the layers lie where they lay when the result was
        made, or at the origin.
    first : int
        Columns to leave free between the image and the kernels, see `free_kernel_column`.

    Returns
    -------
    list of tuple
        Layer data from bottom to top: residual, reconstruction (over the image), and for every
        kind std and kernel (right of the image, same pixels). Only kernels are visible. Every
        layer carries the result in its metadata.
    """
    if image is not None:
        result = placed_result(result, layer_geometry(image, ndim=2), image.name)
    plane = _plane_of(result)
    name = str(result.provenance.get("layer_name", "")).strip()
    of_image = f" of {name}" if name else ""
    layers = []
    for role, array in (("residual", result.residual), ("reconstruction", result.reconstruction)):
        signed = role == "residual"
        look: dict[str, Any] = {"colormap": SIGNED_COLORMAP if signed else "gray", "visible": False}
        if image is not None and not signed:
            look |= {"colormap": image.colormap, "contrast_limits": list(image.contrast_limits)}
        layers.append(
            _image(array, plane, f"{role}{of_image}", {"role": role, "result": result}, look)
        )
    return layers + kernel_layers(result, of_image, ("std", "kernel"), first)


def show_result(viewer: ViewerModel, result: KernelResult, image: Image) -> KernelResult:
    """Add an extraction's layers to a viewer.

    The kernels lie right of the image and of what is there already, such as the kernels of
    earlier extractions.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    result : KernelResult
        What `qpi_kernels.extract` gave.
    image : napari.layers.Image
        The observation's layer; it may have left the viewer.

    Returns
    -------
    KernelResult
        The result as the layers carry it, with its place in the provenance.
    """
    layers = result_layers(result, image, free_kernel_column(viewer, [result], image))
    shown: KernelResult = layers[-1][1]["metadata"][METADATA_KEY]["result"]
    add_layers(viewer, layers)
    return shown


def free_kernel_column(viewer: ViewerModel, results: Sequence[KernelResult], image: Image) -> int:
    """Return how many columns the kernels of some extractions must be moved to lie over nothing.

    Counted from the first place for a kernel, see `first_kernel_column`.
    """
    first = first_kernel_column(results[0])
    columns = sum(kernel_step(result) * _kind_count(result) for result in results)
    rows = max(result.kernel.sizes["y"] for result in results)
    return free_column(viewer.layers, image, rows=rows, columns=columns, first=first) - first


def _kind_count(result: KernelResult) -> int:
    return int(result.kernel.sizes.get("kind", 1))


def kernel_layers(
    result: KernelResult, suffix: str, roles: tuple[str, ...], first: int
) -> list[LayerData]:
    """Show the kernels of all kinds beside their image.

    A kernel that the data do not determine is faded, drawn on the scale of its error, and called
    "(undetermined)".

    Parameters
    ----------
    result : KernelResult
        What an extraction gave; placed with `placed_result`.
    suffix : str
        What comes after role and kind in the layers' names, see `kernel_name`.
    roles : tuple of str
        ``"kernel"``, ``"std"`` or both, from bottom to top.
    first : int
        Columns between the first place for a kernel and the one to use, in pixels.

    Returns
    -------
    list of tuple
        Layer data, the kinds from left to right.
    """
    plane = _plane_of(result)
    kinds = result.kernel["kind"].values.tolist() if "kind" in result.kernel.dims else [None]
    layers = []
    for number, kind in enumerate(kinds):
        beside = moved_columns(
            plane, first_kernel_column(result) + first + number * kernel_step(result)
        )
        for role in roles:
            array = getattr(result, role)
            part = array if kind is None else array.sel(kind=kind)
            look: dict[str, Any] = {"colormap": "magma", "visible": False}
            if role == "kernel":
                look = {"colormap": SIGNED_COLORMAP}
            if role == "kernel" and result.quality.undetermined(kind):
                look |= undetermined_look(
                    part, result.std if kind is None else result.std.sel(kind=kind)
                )
            known = {"role": role, "kind": kind, "result": result}
            name = kernel_name(result, kind, role, suffix)
            layers.append(_image(part, beside, name, known, look))
    return layers


def undetermined_look(*arrays: xr.DataArray) -> dict[str, Any]:
    """Give the opacity and limits at which neither noise nor a prior looks like a measurement.

    A kernel that explains nothing is an error of its own size, whatever its standard deviation.

    Parameters
    ----------
    *arrays : xarray.DataArray
        The kernel and, where it is known, its standard deviation.
    """
    error = max(
        float(np.sqrt(np.square(array.values, dtype=np.float64).mean())) for array in arrays
    )
    limit = _ERRORS_IN_SCALE * error or 1.0
    return {"opacity": UNDETERMINED_OPACITY, "contrast_limits": (-limit, limit)}


def kernel_gap(result: KernelResult) -> int:
    """Columns between the image and a kernel, and between kernels, in pixels."""
    return gap_columns(result.reconstruction.sizes["x"])


def first_kernel_column(result: KernelResult) -> int:
    """Column of the image's pixels where the first kernel begins."""
    return int(result.reconstruction.sizes["x"]) + kernel_gap(result)


def kernel_step(result: KernelResult) -> int:
    """Columns from the beginning of a kernel to that of the next, in pixels."""
    return int(result.kernel.sizes["x"]) + kernel_gap(result)


def placed_result(result: KernelResult, plane: Geometry, name: str) -> KernelResult:
    """Note in the provenance where the image lies, so that a saved result opens in its place."""
    return replace(
        result, provenance={**result.provenance, GEOMETRY_KEY: plane, "layer_name": name}
    )


def _plane_of(result: KernelResult) -> Geometry:
    stored: Geometry | None = result.provenance.get(GEOMETRY_KEY)
    return stored if stored is not None else plane_geometry(result.reconstruction)


def _image(
    array: xr.DataArray, plane: Geometry, name: str, known: dict[str, Any], look: dict[str, Any]
) -> LayerData:
    """Show one array of a result as an image layer."""
    known = {**known, "units": array.attrs.get("units", "")}
    array, known["bias_reversed"] = ascending(array)
    known["bias"] = bias_values(array)
    signed = look.get("colormap") == SIGNED_COLORMAP
    arguments = {
        "name": name,
        "contrast_limits": colour_limits(array.data, signed=signed),
        "metadata": {METADATA_KEY: known},
    }
    return array.data, {**arguments, **look, **stack_geometry(plane, array)}, "image"
