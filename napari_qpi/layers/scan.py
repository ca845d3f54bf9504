"""A scan data set as napari layers: one image per channel, point spectra as points."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import xarray as xr

from napari_qpi.layers.conversion import METADATA_KEY, LayerData, ascending, bias_values
from napari_qpi.layers.geometry import GEOMETRY_KEY, last_axes, scan_geometry
from napari_qpi.layers.result import SIGNED_COLORMAP, undetermined_look
from qpi_kernels.inspect.colours import colour_limits
from qpi_kernels.io.channel_choice import channel_preference, shows_the_sample
from qpi_kernels.kernel_files import UNDETERMINED

__all__ = ["scan_layers"]

# Without strokes: napari's File > Save All Layers makes file names of the layers' names.
_WORDS = {"didv": "dIdV", "topography": "topography", "current": "current"}
_COLORMAPS = {"didv": "viridis", "current": "inferno"}


def scan_layers(dataset: xr.Dataset, stem: str) -> list[LayerData]:
    """Show every channel of a scan.

    Parameters
    ----------
    dataset : xarray.Dataset
        As `qpi_kernels.open_scan` gives it. The frame lies where its offset and angle say, or
        where the attribute ``layer_geometry`` says, which our own writer leaves.
    stem : str
        What the layers' names begin with, such as the file's name.

    Returns
    -------
    list of tuple
        Layer data from bottom to top. The best dI/dV channel lies on top, topography below it;
        these are visible and the others are not. A dI/dV image of mere noise and a flat topography
        (constant height) do not count; where no other is left, the best other channel is visible.
        Falling biases are shown rising; true biases, units and the file's header are in the
        metadata. Saved kernels look as they did, faded where the data did not determine them.
    """
    images = [array for array in dataset.data_vars.values() if {"y", "x"} <= set(array.dims)]
    images.sort(key=channel_preference)
    shown = _shown(images)
    ordered = shown + [array for array in images if not _among(array, shown)]
    names = _names(ordered, stem)
    layers = [
        _image(array, name, dataset, _among(array, shown))
        for array, name in zip(ordered, names, strict=True)
    ]
    layers.reverse()
    if "spectrum" in dataset.dims:
        layers.append(_spectra(dataset, stem))
    return layers


def _among(array: xr.DataArray, others: list[xr.DataArray]) -> bool:
    return any(array is other for other in others)


def _shown(images: list[xr.DataArray]) -> list[xr.DataArray]:
    telling = [array for array in images if shows_the_sample(array)] or images
    best: dict[str, xr.DataArray] = {}
    for array in telling:
        best.setdefault(array.attrs.get("quantity", "other"), array)
    return [best[name] for name in ("didv", "topography") if name in best] or telling[:1]


def _names(images: list[xr.DataArray], stem: str) -> list[str]:
    """Name the layers of channels; with the instrument's label where two would be the same."""
    short = [_name(array) for array in images]
    names = [
        f"{name} of {stem}"
        if "role" in array.attrs
        else f"{stem} {name}"
        + (f" ({array.attrs.get('long_name')})" if short.count(name) > 1 else "")
        for array, name in zip(images, short, strict=True)
    ]
    return [re.sub(r"\s*[/\\]\s*", "-", name) for name in names]


def _name(array: xr.DataArray) -> str:
    """Name a channel in a few words."""
    label = str(array.attrs.get("long_name") or array.name)
    if "role" in array.attrs:
        return label
    words = [_WORDS.get(array.attrs.get("quantity", ""), label)]
    if array.attrs.get("derived"):
        words.append("numeric")
    if array.attrs.get("direction", "none") != "none":
        words.append(array.attrs["direction"])
    return " ".join(words)


def _image(array: xr.DataArray, name: str, dataset: xr.Dataset, visible: bool) -> LayerData:
    """Show one channel as an image layer."""
    array, turned = ascending(array)
    geometry = dataset.attrs.get(GEOMETRY_KEY)
    if geometry is not None and len(geometry["scale"]) >= array.ndim:
        geometry = last_axes(geometry, array.ndim)
    else:
        geometry = scan_geometry(
            array,
            dataset.attrs.get("offset_nm", (0.0, 0.0)),
            dataset.attrs.get("scan_angle_deg", 0.0),
        )
    known = {
        "role": array.attrs.get("role", "channel"),
        "channel": str(array.name),
        "units": array.attrs.get("units", ""),
        "quantity": array.attrs.get("quantity", "other"),
        "derived": array.attrs.get("derived", ""),
        "kind": array.attrs.get("kind"),
        "trust": array.attrs.get("trust", ""),
        "bias": bias_values(array),
        "bias_reversed": turned,
        "attributes": dict(array.attrs),
        "coordinates": {
            axis: np.asarray(array[axis].values, float)
            for axis in ("y", "x")
            if axis in array.coords
        },
        "scan": dict(dataset.attrs),
    }
    signed = known["role"] in ("kernel", "residual")
    arguments: dict[str, Any] = {
        "name": name,
        "visible": visible,
        "colormap": SIGNED_COLORMAP if signed else _COLORMAPS.get(known["quantity"], "gray"),
        "contrast_limits": colour_limits(array.data, signed=signed),
        "metadata": {METADATA_KEY: known},
        **geometry,
    }
    if known["role"] == "kernel" and known["trust"] == UNDETERMINED:
        arguments |= undetermined_look(array)
    return array.data, arguments, "image"


def _spectra(dataset: xr.Dataset, stem: str) -> LayerData:
    """Show point spectra as points that carry their curves."""
    count = dataset.sizes["spectrum"]
    x, y = (
        np.nan_to_num(dataset[axis].values.astype(float))
        if axis in dataset.coords
        else np.zeros(count)
        for axis in ("spectrum_x", "spectrum_y")
    )
    # The instrument's y points up, napari's rows count down.
    positions = np.stack([-y, x], axis=1)
    curves = {
        str(name): array.values
        for name, array in dataset.data_vars.items()
        if array.dims == ("spectrum", "bias")
    }
    known = {
        "role": "spectra",
        "curves": curves,
        "units": {name: dataset[name].attrs.get("units", "") for name in curves},
        "bias": bias_values(dataset[next(iter(curves))]) if curves else None,
        "scan": dict(dataset.attrs),
    }
    extent = float(np.ptp(positions, axis=0).max()) if count else 0.0
    arguments = {
        "name": f"{stem} spectra",
        "features": {"spectrum": np.arange(count)},
        "size": 0.02 * extent or 1.0,
        "symbol": "cross",
        "face_color": "#56B4E9",
        "units": ["nm", "nm"],
        "axis_labels": ["y", "x"],
        "metadata": {METADATA_KEY: known},
    }
    return positions, arguments, "points"
