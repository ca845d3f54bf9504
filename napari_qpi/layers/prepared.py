"""Between layers and `Prepared`: what a preparation starts from, and what it leaves in a viewer.

A prepared layer carries its whole `Prepared` and the `PreparationRecord` of how it was made in
``metadata["napari_qpi"]``, beside ``preparation`` with history and report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_qpi.layers.conversion import (
    MASK,
    METADATA_KEY,
    LayerConversionError,
    LayerData,
    bias_values,
    defects_from_points,
    image_id,
    mask_from_layer,
    observation_from_layer,
)
from napari_qpi.layers.geometry import (
    Geometry,
    PixelToWorld,
    layer_geometry,
    placed_anew,
    stack_geometry,
)
from napari_qpi.layers.scan_source import ScanSource
from qpi_kernels.defects import Defects
from qpi_kernels.inspect.colours import colour_limits
from qpi_kernels.prepare import Prepared, channels_beside, world_nm

if TYPE_CHECKING:
    from napari.layers import Image, Layer, Points

__all__ = [
    "LEFT_OUT_COLORS",
    "PREPARED",
    "PreparationRecord",
    "channel_layers",
    "described_image",
    "left_out_layer",
    "prepared_geometry",
    "prepared_layer",
    "prepared_of",
    "record_of",
    "scan_from_layers",
]

PREPARED = "prepared"
"""The role of an image layer that a preparation made."""

_KEPT = ("channel", "quantity", "derived", "kind", "attributes", "bias_reversed", "scan")
LEFT_OUT_COLORS = {0: "transparent", 1: "#ff4d4d", None: "#ff4d4d"}


@dataclass(frozen=True, eq=False)
class PreparationRecord:
    """The input of a preparation, as a script writes it down.

    Parameters
    ----------
    image : xarray.DataArray
        What it began with.
    name : str
        Name of the source's layer.
    source : ScanSource or None
        Where the raw image can be read.
    before : PreparationRecord or None
        How the source itself was prepared.
    channels : mapping of str to str
        Variable of the same file for each other channel that was used.
    mask : array of bool, (y, x), or None
        Pixels that counted at first.
    defects : Defects or None
        In pixels of the source.
    done : int
        How many steps of the history were done before.
    saved : str or None
        The file that the prepared image itself was read from.
    """

    image: xr.DataArray
    name: str
    source: ScanSource | None
    before: PreparationRecord | None
    channels: Mapping[str, str]
    mask: NDArray[np.bool_] | None
    defects: Defects | None
    done: int = 0
    saved: str | None = None


def prepared_of(layer: Layer) -> Prepared | None:
    """Return the `Prepared` that a layer shows; None of other layers, or if its data were changed.

    The image is that of the layer; its mask is as the preparation left it.
    """
    known = layer.metadata.get(METADATA_KEY, {})
    found = known.get(PREPARED)
    if not isinstance(found, Prepared) or layer.data is not found.image.data:
        return None
    return found


def record_of(layer: Layer) -> PreparationRecord | None:
    """Return how a prepared layer was made."""
    if prepared_of(layer) is None:
        return None
    found: PreparationRecord | None = layer.metadata[METADATA_KEY].get("record")
    return found


def described_image(layer: Image) -> xr.DataArray:
    """Take an image layer as the image to prepare, with all that is known of its scan.

    Raises
    ------
    LayerConversionError
        If the layer is no image, in colour, or has too many axes.
    """
    before = prepared_of(layer)
    if before is not None:
        return before.image
    image = observation_from_layer(layer)
    known = layer.metadata.get(METADATA_KEY, {})
    for axis, values in known.get("coordinates", {}).items():
        # The recorded ones to the bit, unless the user gave the layer another pitch.
        if len(values) == image.sizes[axis] and np.allclose(values - values[0], image[axis]):
            image = image.assign_coords({axis: (axis, values, dict(image[axis].attrs))})
    scan = known.get("scan", {})
    place = {
        "offset_px": (0.0, 0.0),
        "offset_nm": tuple(scan.get("offset_nm", (0.0, 0.0))),
        "scan_angle_deg": float(scan.get("scan_angle_deg", 0.0)),
    }
    own = {"quantity": known.get("quantity", "other"), **known.get("attributes", {})}
    return image.assign_attrs({**place, **own, "units": known.get("units", "")})


def scan_from_layers(
    image: Image,
    points: Points | None = None,
    excluded: Layer | None = None,
    channels: Mapping[str, Image] | None = None,
) -> tuple[Prepared, PreparationRecord]:
    """Take layers as the scan that a preparation starts from.

    Parameters
    ----------
    image : napari.layers.Image
        The image; one that was prepared before goes on where it stands.
    points : napari.layers.Points, optional
        Defects, which move along and are protected.
    excluded : napari.layers.Layer, optional
        Marks pixels that do not count; in place of the mask of an earlier preparation.
    channels : mapping of str to napari.layers.Image, optional
        Other channels of the same pixels.

    Raises
    ------
    LayerConversionError
        If a layer can not be used.
    """
    raw, before = described_image(image), prepared_of(image)
    mask = None if excluded is None else mask_from_layer(excluded, image)
    defects = None if points is None else defects_from_points(points, image)
    others = {}
    for name, layer in (channels or {}).items():
        others[name] = described_image(layer)
        if others[name].shape[-2:] != raw.shape[-2:]:
            raise LayerConversionError(
                f"layer {layer.name!r} has other pixels than {image.name!r}; choose another {name}"
            )
    if before is None:
        start = Prepared.start(raw, mask, defects, others)
    else:
        counted = before.mask if mask is None else mask
        beside = {**before.channels, **others}
        start = replace(before, mask=counted, defects=defects, channels=beside)
    used = {name: ScanSource.of(layer) for name, layer in (channels or {}).items()}
    source = ScanSource.of(image)
    variables = {
        name: found.channel
        for name, found in used.items()
        if found is not None and source is not None and found.path == source.path
    }
    record = PreparationRecord(
        raw,
        image.name,
        source,
        record_of(image),
        variables,
        mask,
        defects,
        len(start.history),
    )
    return start, record


def channel_layers(image: Image, layers: Iterable[Layer]) -> dict[str, Image]:
    """Find the layers of other channels of the same scan and the same pixels.

    Returns
    -------
    dict
        By what they are to the steps, see `qpi_kernels.prepare.channels_beside`; never the image
        itself.
    """
    known = image.metadata.get(METADATA_KEY, {})
    file = known.get("scan", {}).get("source")
    place = PixelToWorld.of(image)
    same = {
        str(found["channel"]): layer
        for layer in [*layers, image]
        if (found := layer.metadata.get(METADATA_KEY, {})).get("channel")
        and found.get("role") == known.get("role")
        and found.get("scan", {}).get("source") == file
        and layer.data.shape[-2:] == image.data.shape[-2:]
        and PixelToWorld.of(layer).same_as(place)
    }
    if not file or known.get("channel") not in same:
        return {}
    scan = xr.Dataset(
        {
            name: xr.DataArray(
                layer.data,
                dims=(f"planes of {name}", "y", "x")[3 - layer.data.ndim :],
                attrs=layer.metadata[METADATA_KEY].get("attributes", {}),
            )
            for name, layer in same.items()
        }
    )
    found = channels_beside(scan, scan[known["channel"]])
    chosen = {name: same[str(array.name)] for name, array in found.items()}
    return {name: layer for name, layer in chosen.items() if layer is not image}


def prepared_geometry(source: Layer, raw: xr.DataArray, made: xr.DataArray) -> Geometry:
    """Place a prepared image so that it lies over its source in napari's world.

    Parameters
    ----------
    source : napari.layers.Image
        The layer of the raw image, wherever it lies.
    raw, made : xarray.DataArray
        The image before and after the steps.
    """
    corners = np.array([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])
    (offset, *old), (moved, *new) = world_nm(raw, corners), world_nm(made, corners)
    to_world = np.stack(old, axis=1) - offset[:, None]
    matrix = np.linalg.solve(to_world, np.stack(new, axis=1) - moved[:, None])
    shift = np.linalg.solve(to_world, moved - offset)
    plane = layer_geometry(source, 2)
    if not (np.allclose(matrix, np.eye(2), atol=1e-9) and np.allclose(shift, 0, atol=1e-9)):
        plane = placed_anew(plane, matrix, shift)
    if made.ndim == 2 or source.ndim < 3 or made.shape[0] != raw.shape[0]:
        return stack_geometry(plane, made)
    whole = layer_geometry(source, 3)
    stacked = stack_geometry(plane, made)
    for name in ("scale", "translate", "units", "axis_labels"):
        stacked[name] = [whole[name][0], *stacked[name][1:]]
    return stacked


def prepared_layer(
    prepared: Prepared, source: Image, record: PreparationRecord, name: str | None = None
) -> LayerData:
    """Show a prepared image over its source.

    Parameters
    ----------
    prepared : Prepared
        What the steps made.
    source : napari.layers.Image
        The layer it was made from; it need not be in a viewer.
    record : PreparationRecord
        What the steps were given.
    name : str, optional
        Name of the new layer, by default that of the source and "prepared".
    """
    image = prepared.image
    known = source.metadata.get(METADATA_KEY, {})
    place = {key: image.attrs[key] for key in ("offset_nm", "scan_angle_deg") if key in image.attrs}
    kept = {key: known[key] for key in _KEPT if key in known}
    arguments: dict[str, Any] = {
        "name": name or f"{source.name} prepared",
        "colormap": source.colormap,
        "contrast_limits": colour_limits(_counted(prepared), signed=False),
        "metadata": {
            METADATA_KEY: {
                **kept,
                "role": PREPARED,
                "units": image.attrs.get("units", ""),
                "bias": bias_values(image),
                "scan": {**known.get("scan", {}), **place},
                "prepared_from": image_id(source),
                "preparation": {"history": prepared.history, "report": prepared.report},
                PREPARED: prepared,
                "record": record,
            }
        },
        **prepared_geometry(source, record.image, image),
    }
    return image.data, arguments, "image"


def _counted(prepared: Prepared) -> Any:
    """Return the pixels that count of a map; all of a cube, which is not copied for its colours."""
    if prepared.image.ndim > 2 or not prepared.mask.any():
        return prepared.image.data
    return prepared.image.where(prepared.mask).data


def left_out_layer(prepared: Prepared, image: Image) -> LayerData | None:
    """Show the pixels that do not count as labels that belong to the image; None if all count."""
    if prepared.mask.all():
        return None
    arguments = {
        "name": f"{image.name} left out",
        "opacity": 0.5,
        "colormap": LEFT_OUT_COLORS,
        "metadata": {METADATA_KEY: {"role": MASK, "image": image_id(image)}},
        **layer_geometry(image, 2),
    }
    return (~prepared.mask).astype(np.uint8), arguments, "labels"
