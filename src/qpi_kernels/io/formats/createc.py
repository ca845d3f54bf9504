"""Createc images (``.dat``): topography, current and auxiliary inputs, one bias or several.

The layout and the calibrations below come from over forty real files with several piezo
calibrations (frames of 2 to 240 nm) unless "read in source" says that only other readers vouch
for them.

* A Latin-1 header of ``Key / Alias=value`` lines, the marker ``DATA``, then one zlib stream of
  little-endian float32: a dummy value, ``Channels`` planes of ``Num.Y`` rows, a tail to ignore.
  ``[Paramet32]`` files hold the same values without compression (read in source).
* Planes follow the bits of ``Channelselectval`` (Z, current, auxiliary inputs), first all forward,
  then all backward; backward rows are stored in display order. With ``MVoltnumber11`` = n > 1 this
  repeats for the n biases ``MVolt_1 ... n``. A file with one plane per bit holds forward only.
  Auxiliary planes keep their raw counts, since no header tells what is connected.
* nm = raw x ``Dacto[A]z`` x ``GainZ`` / 10. The header rounds ``Dacto`` to five decimals, so
  heights are good to 1-3 %; atomic steps of 0.20 and 0.25 nm agree within that.
* A = raw x 20 / 2^bits / 10^``GainPre``: agrees with the set-point and the sign of the bias.
* Pitch = ``Length x[A]`` / ``Num.X``; agrees with ``Delta X`` x ``Dacto[A]xy``.
* Set-point: ``SetPoint`` or ``Current[A]`` in A; ``FBLogIset`` in mV behind the preamplifier
  (with ``GainPre`` = 9 it reads as pA). ``FBChannel`` other than 0 means feedback on another
  signal, in its own unit.
* ``OffsetX/Y`` count like ``Delta X`` and point at the middle of the top edge; x grows to the left,
  y upwards, and ``Rotation`` turns anticlockwise about that point. Features seen in overlapping
  frames at 0, 45, 90, 180 and -90 degrees meet within 0.8 % of the frame.
* Row 0 is the top, also of scans that ran upwards (``ScanYDirec`` = 2). Rows that were not scanned
  are stored as zeros.
"""

from __future__ import annotations

import math
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qpi_kernels.io.layouts.createc_header import CreatecHeader
from qpi_kernels.io.registry import ScanFormat
from qpi_kernels.io.scan import Channel, Direction, ScanFormatError, scan_dataset

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FORMAT", "read"]

_NAME = "Createc .dat"
_ZLIB_START = re.compile(rb"DATA(?=\x78[\x01\x5e\x9c\xda])")
_CHUNK_BYTES = 4096
_MAX_PIXELS_A_SIDE = 65536
_MAX_PLANES = 1024
# zlib cannot compress better than 1032 : 1, so a much larger image is not in the file.
_ZLIB_RATIO = 1100
_ALWAYS_ALLOWED_BYTES = 64 * 2**20
_NEVER_ALLOWED_BYTES = 2 * 2**30
# No converter counts that far; larger values and infinities come from damage.
_MAX_COUNTS = 2.0**32
# Behind the planes come four spare rows and 32 values; some room to meet the checksum, too.
_TAIL_BYTES = 2**16


def read(path: str | Path) -> xr.Dataset:
    """Read a Createc image.

    Parameters
    ----------
    path : path-like
        The ``.dat`` file.

    Returns
    -------
    xarray.Dataset
        ``topography_*`` in nm, ``current_*`` in A and auxiliary inputs in raw counts, each
        ``(y, x)``, or ``(bias, y, x)`` when the file holds several biases in V.
        ``complete`` is False when rows were not scanned or the file is cut or damaged; NaN stand
        for what is missing.

    Raises
    ------
    ScanFormatError
        For spectra, the 16-bit layout of early versions, sine scans and files without a readable
        image.
    """
    path = Path(path)
    raw = path.read_bytes()
    start = _data_start(path, raw)
    header = CreatecHeader.parse(raw[:start].decode("latin-1"))
    if header.number("ScanmodeSine", default=0.0) != 0:
        raise ScanFormatError(path, _NAME, "sine scan mode is not supported")
    shape = _image_shape(path, header)
    layout = _declared_layout(header)
    _refuse_impossible_size(path, len(raw), shape, layout)
    values, intact = _stored_values(path, raw, start, shape, layout)
    planes = layout.planes or min(values.size // math.prod(shape), _MAX_PLANES)
    stored = values.size // math.prod(shape)
    if intact and 0 < stored < planes:
        planes = stored  # an honest end of the stream outranks the header's count
    if planes == 0 or values.size == 0:
        raise ScanFormatError(path, _NAME, "no image data could be decoded")
    layout = layout.for_planes(planes)
    images = _as_images(values, planes * math.prod(shape))
    images = images.reshape(layout.passes, layout.planes_per_pass, *shape)
    complete = _blank_unscanned_rows(images, layout) and intact
    missing = np.isnan(images)
    if missing.all():
        raise ScanFormatError(path, _NAME, "the scan was stopped before its first row")
    return scan_dataset(
        _channels(images, layout, header),
        source=path,
        format=_NAME,
        pixel_nm=header.pixel_nm(shape),
        bias=header.bias(layout.passes),
        offset_nm=header.frame_centre_nm(shape),
        scan_angle_deg=0.0 - header.number("Rotation", default=0.0),
        setpoint=header.setpoint,
        complete=complete and not missing.any(),
        header=header.lines,
        scan_speed_nm_s=header.scan_speed_nm_s(shape),
    )


def _data_start(path: Path, raw: bytes) -> int:
    """Find where the data begin; refuse spectra and the 16-bit layout."""
    if raw.startswith(b"[ParVERT"):
        raise ScanFormatError(
            path, _NAME, "this is a Createc spectrum; only Createc images are read"
        )
    if raw.startswith(b"[Parameter]"):
        reason = "16-bit files of early Createc versions are not read; save it with a newer one"
        raise ScanFormatError(path, _NAME, reason)
    if raw.startswith(b"[Paramet32]"):
        marker = raw.find(b"\nDATA")
        if marker >= 0:
            return marker + 5
    else:
        starts = [match.end() for match in _ZLIB_START.finditer(raw)]
        at_line_start = [start for start in starts if raw[start - 5 : start - 4] in b"\n\r\0"]
        if starts:
            return (at_line_start or starts)[0]
    raise ScanFormatError(path, _NAME, "no image data after the header; the file is cut or damaged")


def _image_shape(path: Path, header: CreatecHeader) -> tuple[int, int]:
    """Read the numbers of rows and columns and refuse impossible ones."""
    rows, columns = header.count("Num.Y"), header.count("Num.X")
    if not (0 < rows <= _MAX_PIXELS_A_SIDE and 0 < columns <= _MAX_PIXELS_A_SIDE):
        sides = [header.by_name.get(name, "nothing") for name in ("num.x", "num.y")]
        reason = (
            f"the header's image size makes no sense (Num.X {sides[0]:.20}, Num.Y {sides[1]:.20})"
        )
        raise ScanFormatError(path, _NAME, reason)
    return rows, columns


@dataclass(frozen=True)
class _Layout:
    """Name the planes: `inputs` are the bits of Channelselectval, 0 for Z and 1 for current."""

    planes: int
    passes: int
    inputs: tuple[int, ...]

    @property
    def planes_per_pass(self) -> int:
        return self.planes // self.passes

    @property
    def has_backward(self) -> bool:
        return self.planes_per_pass == 2 * len(self.inputs)

    def for_planes(self, planes: int) -> _Layout:
        """Fit the header's statements to the number of planes that really are there."""
        passes = self.passes if planes % self.passes == 0 else 1
        per_pass = planes // passes
        inputs = self.inputs
        if per_pass not in (len(inputs), 2 * len(inputs)):
            if inputs and passes > 1:
                return _Layout(self.planes, 1, inputs).for_planes(planes)
            # Four planes or any other even number come in two directions, except the pair Z, I.
            inputs = tuple(range(per_pass // 2 if per_pass % 2 == 0 and per_pass > 2 else per_pass))
        return _Layout(planes, passes, inputs)


def _declared_layout(header: CreatecHeader) -> _Layout:
    """Read from the header which planes the file should hold."""
    selected = header.count("Channelselectval")
    inputs = tuple(bit for bit in range(31) if selected >> bit & 1)
    if not inputs:
        inputs = tuple(range(min(header.count("ScanChannels", "Chan(1,2,4)"), 31)))
    passes = max(1, header.count("MVoltnumber11"))
    planes = header.count("Channels")
    if planes == 0 and inputs:
        directions = 2 if header.count("ScanXMode", "Scanmode") == 2 else 1
        planes = len(inputs) * directions * passes
    if planes > _MAX_PLANES:
        planes = 0
    return _Layout(planes, passes if passes <= _MAX_PLANES else 1, inputs)


def _stored_values(
    path: Path, raw: bytes, start: int, shape: tuple[int, int], layout: _Layout
) -> tuple[np.ndarray, bool]:
    """Return the values behind the dummy one, at most the declared ones, and if all is sound."""
    wanted = 4 * (1 + (layout.planes or 64) * math.prod(shape)) + 16 * shape[1] + _TAIL_BYTES
    wanted = min(wanted, _NEVER_ALLOWED_BYTES)
    if raw.startswith(b"[Paramet32]"):
        body, intact = bytearray(raw[start : start + wanted]), True
    else:
        body, intact = _inflate(raw, start, wanted)
    values = np.frombuffer(body, "<f4", count=len(body) // 4)[1:]
    if raw.startswith(b"[Paramet32]") and _looks_like_integers(values):
        raise ScanFormatError(path, _NAME, "uncompressed integer data are not supported")
    return values, intact


def _refuse_impossible_size(
    path: Path, file_bytes: int, shape: tuple[int, int], layout: _Layout
) -> None:
    """Refuse an image larger than the file can hold, before memory is taken."""
    needed = 4 * max(1, layout.planes) * math.prod(shape)
    possible = min(max(_ALWAYS_ALLOWED_BYTES, _ZLIB_RATIO * file_bytes), _NEVER_ALLOWED_BYTES)
    if needed > possible:
        rows, columns = shape
        reason = (
            f"the header declares {layout.planes} planes of {rows} x {columns} values, "
            "more than this file can hold"
        )
        raise ScanFormatError(path, _NAME, reason)


def _inflate(raw: bytes, start: int, wanted: int) -> tuple[bytearray, bool]:
    """Inflate up to `wanted` bytes; of a cut or damaged stream return what precedes the damage."""
    inflater = zlib.decompressobj()
    inflated = bytearray()
    # Small pieces, since zlib throws away the output of the call that meets the damage.
    for position in range(start, len(raw), _CHUNK_BYTES):
        chunk = raw[position : position + _CHUNK_BYTES]
        while chunk and len(inflated) < wanted:
            try:
                inflated += inflater.decompress(chunk, min(wanted - len(inflated), 2**20))
            except zlib.error:
                return inflated, False
            chunk = inflater.unconsumed_tail
        if inflater.eof or len(inflated) >= wanted:
            return inflated, True
    return inflated, False


def _looks_like_integers(values: np.ndarray) -> bool:
    # Small integers read as float32 are NaN (negative) or denormal (positive).
    sample = np.abs(values[values != 0][:4096])
    return bool(sample.size) and not np.nanmax(np.append(sample, 0.0)) > 1e-30


def _as_images(values: np.ndarray, size: int) -> np.ndarray:
    """Fill `size` values, NaN where the file is cut or a value is impossible."""
    if values.size >= size:
        images = values[:size]
    else:
        images = np.full(size, np.nan, np.float32)
        images[: values.size] = values
    with np.errstate(invalid="ignore"):  # damaged streams hold signalling NaN
        images[~(np.abs(images) <= _MAX_COUNTS)] = np.nan
    return images


def _blank_unscanned_rows(images: np.ndarray, layout: _Layout) -> bool:
    """Set rows that are zero in all inputs of a pass and direction to NaN; True when none were."""
    complete = True
    for scan_pass in images:
        directions = np.array_split(scan_pass, 2) if layout.has_backward else [scan_pass]
        for group in directions:
            unscanned = ~(group != 0).any(axis=(0, 2))
            group[:, unscanned] = np.nan
            complete = complete and not unscanned.any()
    return complete


def _channels(images: np.ndarray, layout: _Layout, header: CreatecHeader) -> list[Channel]:
    """Make a channel of each plane of a pass."""
    channels = []
    for plane in range(layout.planes_per_pass):
        data = images[0, plane] if layout.passes == 1 else np.ascontiguousarray(images[:, plane])
        turn, position = divmod(plane, len(layout.inputs))
        direction: Direction = "backward" if turn else "forward"
        channels.append(_channel(data, layout.inputs[position], direction, header))
    return channels


def _channel(data: np.ndarray, bit: int, direction: Direction, header: CreatecHeader) -> Channel:
    """Calibrate the plane of one input, in place."""
    if bit == 0:
        factor, units = header.nm_per_count("Z"), "nm"
        label = "Topography" if factor else "Topography (raw counts)"
    elif bit == 1:
        factor, units = header.ampere_per_count, "A"
        label = "Current" if factor else "Current (raw counts)"
    else:
        return Channel(f"Auxiliary {bit - 1}", data, "", "other", direction)
    if not factor:
        return Channel(label, data, "", "other", direction)
    with np.errstate(over="ignore", invalid="ignore"):  # only damaged headers hold such factors
        np.multiply(data, factor, out=data)
    return Channel(label, data, units, "topography" if bit == 0 else "current", direction)


# Old files lack the first-line magic; their data are a zlib stream after "DATA".
_ZLIB_DATA = re.compile(rb"\nDATA\x78[\x01\x5e\x9c\xda]")


def _matches(head: bytes) -> bool:
    """Recognise images, and spectra ([ParVERT..]), which the reader refuses with the reason."""
    if head.startswith((b"[Paramco32]", b"[Paramet32]", b"[ParVERT")):
        return True
    return b"Num.X" in head and (head.startswith(b"[Parameter]") or bool(_ZLIB_DATA.search(head)))


FORMAT = ScanFormat(_NAME, (".dat",), _matches, read, shared=True)
