"""TIFF images and stacks, with the pixel size of ImageJ or OME tags."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from qpi_kernels.io.array_geometry import Biases, PixelPitch, as_biases, as_pitch, without_bias
from qpi_kernels.io.array_notes import describe, read_notes
from qpi_kernels.io.physical_units import in_project_units, quantity_of
from qpi_kernels.io.registry import ScanFormat
from qpi_kernels.io.scan import Channel, ScanFormatError, scan_dataset

if TYPE_CHECKING:
    import tifffile
    import xarray as xr

__all__ = ["FORMAT", "read"]

_NAME = "TIFF"
_MAX_UNPACKED = 1024**3
_MAX_RATIO = 200
_BIAS_LABEL = re.compile(r"(?P<value>[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*(?P<unit>m?V)\b")


def read(
    path: str | Path, *, pixel_nm: PixelPitch | None = None, bias: Biases | None = None
) -> xr.Dataset:
    """Read a grey-scale TIFF.

    Parameters
    ----------
    path : path-like
        The file; its first series is read.
    pixel_nm : float or pair of float, optional
        Pixel pitch in nm, or ``(y, x)``; comes before the tags of ImageJ (``unit`` and
        resolution) and OME (``PhysicalSizeX/Y``). A resolution in dots per inch is not believed.
    bias : float or sequence of float, optional
        Bias in V of the image or of every page; comes before ImageJ's slice labels (such as
        ``-0.1 V``).

    Returns
    -------
    xarray.Dataset
        See `qpi_kernels.io.open_scan`. Pages of unknown bias have the dimension ``plane``.

    Raises
    ------
    ScanFormatError
        If the file is damaged, a colour image or has more than three axes.
    """
    # tifffile takes a fifth of a second to import.
    import tifffile

    path = Path(path)
    try:
        with tifffile.TiffFile(path) as file:
            data, pitch, known_bias, info = _contents(file, path.stat().st_size)
        pitch = as_pitch(pixel_nm) or pitch
        planes = data.shape[0] if data.ndim == 3 else 1
        known_bias = as_biases(known_bias if bias is None else bias, planes)
    except (ValueError, tifffile.TiffFileError) as error:
        raise ScanFormatError(path, _NAME, str(error)) from error
    title, units = info["channel"], info.get("units", "")
    dataset = scan_dataset(
        [Channel(title, data, units, quantity_of(title, units))],
        source=path,
        format=_NAME,
        pixel_nm=pitch,
        bias=known_bias,
        complete=not bool(np.isnan(data).any()),
    )
    return describe(without_bias(dataset), read_notes(info.get("notes", "")))


def _contents(
    file: tifffile.TiffFile, file_bytes: int
) -> tuple[np.ndarray, tuple[float, float] | None, np.ndarray | None, dict[str, str]]:
    """Return pixels, pitch ``(y, x)`` in nm, biases in V and the lines of ImageJ's description."""
    import tifffile

    if not file.series:
        raise ValueError("it holds no image")
    series = file.series[0]
    if "S" in series.axes or series.keyframe.photometric in (
        tifffile.PHOTOMETRIC.RGB,
        tifffile.PHOTOMETRIC.PALETTE,
    ):
        raise ValueError("it is a colour image; save the measured values as 32-bit grey")
    if series.dtype is None or series.dtype.kind not in "fiu":
        raise ValueError(f"pixels of type {series.dtype} are no measured values")
    if series.nbytes > max(_MAX_UNPACKED, _MAX_RATIO * file_bytes) or (
        series.keyframe.compression == tifffile.COMPRESSION.NONE and series.nbytes > file_bytes
    ):
        raise ValueError(f"it announces {series.nbytes} bytes of pixels but holds {file_bytes}")
    data = np.squeeze(series.asarray())
    if data.ndim not in (2, 3) or data.size == 0:
        raise ValueError(f"axes {series.axes} of shape {series.shape} are no image and no stack")
    imagej: dict[str, Any] = file.imagej_metadata or {}
    pitch = _ome_pitch(file.ome_metadata) if file.is_ome else _imagej_pitch(file, imagej)
    info = dict(
        line.split("=", 1) for line in str(imagej.get("Info", "")).splitlines() if "=" in line
    )
    info.setdefault("channel", Path(series.name or "").stem or "data")
    labels = imagej.get("Labels") or [] if data.ndim == 3 else [info.get("bias", "")]
    return data, pitch, _labelled_bias(labels, data), info


def _imagej_pitch(file: tifffile.TiffFile, imagej: dict[str, Any]) -> tuple[float, float] | None:
    """Return ImageJ's pixel size: the resolution tags count pixels per ``unit``."""
    unit = re.sub(
        r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), str(imagej.get("unit", ""))
    )
    unit = {"micron": "µm", "microns": "µm"}.get(unit, unit)
    factor, project_unit = in_project_units(unit)
    tags = file.pages.first.tags
    if project_unit != "nm" or "XResolution" not in tags or "YResolution" not in tags:
        return None
    pitch = []
    for name in ("YResolution", "XResolution"):
        pixels, units = tags[name].value
        if not (pixels > 0 and units > 0):
            return None
        pitch.append(factor * units / pixels)
    return pitch[0], pitch[1]


def _ome_pitch(text: str | None) -> tuple[float, float] | None:
    """Return ``PhysicalSizeY`` and ``PhysicalSizeX`` of the first image, by default in µm."""
    for element in ElementTree.fromstring(text or "<none/>").iter():
        if element.tag.rpartition("}")[2] != "Pixels":
            continue
        pitch = []
        for axis in ("Y", "X"):
            value = element.get(f"PhysicalSize{axis}")
            factor, unit = in_project_units(element.get(f"PhysicalSize{axis}Unit", "µm"))
            if value is None or unit != "nm" or not float(value) > 0:
                return None
            pitch.append(factor * float(value))
        return as_pitch(pitch)
    return None


def _labelled_bias(labels: Sequence[str], data: np.ndarray) -> np.ndarray | None:
    """Read the bias of every page from its label; None unless each page has one."""
    found = [_BIAS_LABEL.search(str(label)) for label in labels]
    planes = data.shape[0] if data.ndim == 3 else 1
    if len(found) != planes or not all(found):
        return None
    scale = {"V": 1.0, "mV": 1e-3}
    biases = np.array([float(match["value"]) * scale[match["unit"]] for match in found if match])
    return biases if data.ndim == 3 else biases.reshape(())


def _written_here(path: Path) -> bool:
    """Recognise a file of `qpi_kernels.io.exporters` by the notes in its ImageJ description."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            info = str((file.imagej_metadata or {}).get("Info", ""))
    except (OSError, ValueError, tifffile.TiffFileError):
        return False
    return info.startswith("channel=") and "\nunits=" in info


FORMAT = ScanFormat(
    _NAME,
    (".tif", ".tiff"),
    lambda head: head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    read,
    shared=True,
    written_here=_written_here,
    # napari asks which reader to take for every name that fits, so all TIFFs would be too many.
    patterns=("*kernel*.tif", "*kernel*.tiff"),
)
