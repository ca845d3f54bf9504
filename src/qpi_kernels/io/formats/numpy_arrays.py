"""Plain NumPy files (.npy, .npz) with pixel size and bias as arrays beside them or options."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np

from qpi_kernels.io.array_geometry import Biases, PixelPitch, as_biases, as_pitch, without_bias
from qpi_kernels.io.array_notes import describe, read_notes
from qpi_kernels.io.physical_units import quantity_of
from qpi_kernels.io.registry import ScanFormat
from qpi_kernels.io.scan import Channel, Quantity, ScanFormatError, scan_dataset

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FORMAT", "read"]

_NAME = "NumPy"
_PREFERRED = ("data", "didv", "observation", "topography", "current")
_NOTE_ARRAYS = ("pixel_nm", "bias", "units", "notes")
# Deflate cannot do better than 1032:1; beyond this size such a ratio is taken for an attack.
_BOMB_BYTES = 1024**3
_BOMB_RATIO = 200


def read(
    path: str | Path, *, pixel_nm: PixelPitch | None = None, bias: Biases | None = None
) -> xr.Dataset:
    """Read an image or a stack from a NumPy file.

    Parameters
    ----------
    path : path-like
        A ``.npy`` file, or a ``.npz`` file with arrays of any names; the arrays ``pixel_nm``,
        ``bias`` (V) and ``units`` in it are understood. Pickled objects are never loaded.
    pixel_nm : float or pair of float, optional
        Pixel pitch in nm, or ``(y, x)``; comes before what the file says. Unknown: pixels.
    bias : float or sequence of float, optional
        Bias in V of the image or of every plane; comes before what the file says.

    Returns
    -------
    xarray.Dataset
        See `qpi_kernels.io.open_scan`. A stack of unknown bias has the dimension ``plane``.
        Arrays of a ``.npz`` that are no images, or of another size than the main one, are left
        out; the attribute ``header`` lists them.

    Raises
    ------
    ScanFormatError
        If there is no 2-D or 3-D array of real numbers, the file is damaged, or pixel size or
        bias do not fit.
    """
    path = Path(path)
    with path.open("rb") as file:
        is_archive = file.read(2) == b"PK"
    try:
        arrays = _from_npz(path) if is_archive else {"data": _from_npy(path)}
        pitch = as_pitch(pixel_nm if pixel_nm is not None else arrays.get("pixel_nm"))
    except (ValueError, zipfile.BadZipFile) as error:
        raise ScanFormatError(path, _NAME, str(error)) from error

    units = str(arrays["units"].ravel()[0]) if arrays.get("units", np.empty(0)).size else ""
    images, left_out = _images(arrays)
    if not images:
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ScanFormatError(path, _NAME, f"no 2-D or 3-D array of real numbers in {found}")
    channels = [
        Channel(name, array, units if index == 0 else "", _quantity(name, units))
        for index, (name, array) in enumerate(images.items())
    ]
    planes = next((array.shape[0] for array in images.values() if array.ndim == 3), 1)
    try:
        known_bias = as_biases(bias if bias is not None else arrays.get("bias"), planes)
    except ValueError as error:
        raise ScanFormatError(path, _NAME, str(error)) from error
    dataset = scan_dataset(
        channels,
        source=path,
        format=_NAME,
        pixel_nm=pitch,
        bias=known_bias,
        complete=not any(np.isnan(channel.data).any() for channel in channels),
        header={"arrays left out": ", ".join(left_out)} if left_out else {},
    )
    notes = read_notes(arrays["notes"]) if arrays.get("notes", np.empty(0)).size == 1 else {}
    return describe(without_bias(dataset), notes)


def _from_npy(path: Path) -> np.ndarray:
    size = path.stat().st_size
    with path.open("rb") as file:
        _check_npy_header(file, size)
        file.seek(0)
        return cast(np.ndarray, np.load(file, allow_pickle=False))


def _check_npy_header(file: BinaryIO, size: int) -> None:
    """Refuse an array that announces more bytes than its file holds, or Python objects."""
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"version {version} of the .npy format is not read")
    shape, _, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError("it holds pickled Python objects, which are never loaded")
    announced, present = math.prod(shape) * dtype.itemsize, size - file.tell()
    if any(length < 0 for length in shape) or announced > present:
        raise ValueError(f"its header announces {announced} bytes but {present} follow")


def _from_npz(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of an archive, none larger than its file can hold."""
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                continue
            if member.file_size > max(_BOMB_BYTES, _BOMB_RATIO * member.compress_size):
                raise ValueError(f"{member.filename} would unpack to {member.file_size} bytes")
            with archive.open(member) as file:
                _check_npy_header(cast(BinaryIO, file), member.file_size)
            with archive.open(member) as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
            arrays[member.filename.removesuffix(".npy")] = array
    if not arrays:
        raise ValueError("the archive holds no .npy array")
    return arrays


def _images(arrays: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Choose the arrays shaped like the main image, that one first."""
    candidates = {
        name: array
        for name, array in arrays.items()
        if name not in _NOTE_ARRAYS
        and array.ndim in (2, 3)
        and array.dtype.kind in "fiub"
        and array.size
    }
    order = [name for name in _PREFERRED if name in candidates]
    order += [name for name in candidates if name not in order]
    images: dict[str, np.ndarray] = {}
    for name in order:
        first = next(iter(images.values()), candidates[name])
        planes = [array.shape[0] for array in images.values() if array.ndim == 3]
        fits = candidates[name].shape[-2:] == first.shape[-2:]
        if fits and (
            candidates[name].ndim == 2 or candidates[name].shape[0] in planes[:1] or not planes
        ):
            images[name] = candidates[name]
    rest = [name for name in arrays if name not in images and name not in _NOTE_ARRAYS]
    return images, [f"{name} {arrays[name].shape}" for name in rest]


def _quantity(name: str, units: str) -> Quantity:
    lowered = name.lower()
    if lowered in ("topography", "z", "height"):
        return "topography"
    if lowered in ("current", "i"):
        return "current"
    return quantity_of(name, units if lowered == "data" else "")


def _written_here(path: Path) -> bool:
    """Recognise a file of `qpi_kernels.io.exporters` by the names of its arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {"data.npy", "units.npy"} <= set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


FORMAT = ScanFormat(
    _NAME,
    (".npz", ".npy"),
    lambda head: head.startswith((b"\x93NUMPY", b"PK\x03\x04")),
    read,
    shared=True,
    written_here=_written_here,
    patterns=("*.npz",),
)
