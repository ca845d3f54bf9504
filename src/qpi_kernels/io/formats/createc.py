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

from qpi_kernels.io.physical_units import credible_pitch
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
    header = _parse_header(raw[:start].decode("latin-1"))
    if _number(header, "ScanmodeSine", default=0.0) != 0:
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
        pixel_nm=_pixel_nm(header, shape),
        bias=_bias(header, layout.passes),
        offset_nm=_frame_centre_nm(header, shape),
        scan_angle_deg=0.0 - _number(header, "Rotation", default=0.0),
        setpoint=_setpoint(header),
        complete=complete and not missing.any(),
        header=header.lines,
    )


@dataclass(frozen=True)
class _Header:
    lines: dict[str, str]
    by_name: dict[str, str]


def _plain(name: str) -> str:
    return name.strip().rstrip(":").lower().replace("å", "a")


def _parse_header(text: str) -> _Header:
    lines: dict[str, str] = {}
    by_name: dict[str, str] = {}
    for line in re.split(r"[\r\n]+", text):
        key, equals, value = line.partition("=")
        if not (equals and key.strip() and key.isprintable() and len(line) < 400):
            continue
        lines.setdefault(key.strip(), value.strip())
        for name in (key, *key.split(" / ")):
            by_name.setdefault(_plain(name), value.strip())
    return _Header(lines, by_name)


def _optional(header: _Header, *names: str) -> float | None:
    """First of the named entries that is a finite number; decimal commas are accepted."""
    for name in names:
        try:
            number = float(header.by_name.get(_plain(name), "").replace(",", "."))
        except ValueError:
            continue
        if math.isfinite(number):
            return number
    return None


def _number(header: _Header, *names: str, default: float) -> float:
    number = _optional(header, *names)
    return default if number is None else number


def _count(header: _Header, *names: str) -> int:
    number = _number(header, *names, default=0.0)
    return int(number) if number == int(number) and 0 < number < 2**31 else 0


def _data_start(path: Path, raw: bytes) -> int:
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


def _image_shape(path: Path, header: _Header) -> tuple[int, int]:
    rows, columns = _count(header, "Num.Y"), _count(header, "Num.X")
    if not (0 < rows <= _MAX_PIXELS_A_SIDE and 0 < columns <= _MAX_PIXELS_A_SIDE):
        said = [header.by_name.get(name, "nothing") for name in ("num.x", "num.y")]
        reason = (
            f"the header's image size makes no sense (Num.X {said[0]:.20}, Num.Y {said[1]:.20})"
        )
        raise ScanFormatError(path, _NAME, reason)
    return rows, columns


@dataclass(frozen=True)
class _Layout:
    """Which plane is what: `inputs` are the bits of Channelselectval, 0 for Z and 1 for current."""

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


def _declared_layout(header: _Header) -> _Layout:
    selected = _count(header, "Channelselectval")
    inputs = tuple(bit for bit in range(31) if selected >> bit & 1)
    if not inputs:
        inputs = tuple(range(min(_count(header, "ScanChannels", "Chan(1,2,4)"), 31)))
    passes = max(1, _count(header, "MVoltnumber11"))
    planes = _count(header, "Channels")
    if planes == 0 and inputs:
        directions = 2 if _count(header, "ScanXMode", "Scanmode") == 2 else 1
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


def _dac_bits(header: _Header) -> int:
    digits = re.search(r"\d+", header.by_name.get("dac-type", ""))
    bits = int(digits[0]) if digits and len(digits[0]) < 4 else 20
    return bits if 8 <= bits <= 32 else 20


def _gain(header: _Header, axis: str) -> float | None:
    gains = header.by_name.get("actgainxyz", "").split()
    spare = _Header({}, dict(zip(("gainx", "gainy", "gainz"), gains, strict=False)))
    gain = _optional(header, f"Gain{axis}")
    return gain if gain is not None else _optional(spare, f"Gain{axis}")


def _nm_per_count(header: _Header, axis: str) -> float | None:
    """Piezo motion in nm per count, from the rounded Dacto or else from the piezo constant."""
    gain = _gain(header, axis)
    angstrom = _optional(header, "Dacto[A]z" if axis == "Z" else "Dacto[A]xy")
    if not angstrom:
        piezo = _optional(header, f"{axis}Piezoconst")
        angstrom = None if piezo is None else piezo * 20 / 2 ** _dac_bits(header)
    return angstrom * gain / 10 if angstrom and gain else None


def _ampere_per_count(header: _Header) -> float | None:
    gain = _preamplifier_gain(header)
    return None if gain is None else 20 / 2 ** _dac_bits(header) / gain


def _preamplifier_gain(header: _Header) -> float | None:
    decades = _optional(header, "Gainpreamp", "GainPre 10^")
    return None if decades is None or abs(decades) > 15 else math.pow(10.0, decades)


def _channels(images: np.ndarray, layout: _Layout, header: _Header) -> list[Channel]:
    channels = []
    for plane in range(layout.planes_per_pass):
        data = images[0, plane] if layout.passes == 1 else np.ascontiguousarray(images[:, plane])
        turn, position = divmod(plane, len(layout.inputs))
        direction: Direction = "backward" if turn else "forward"
        channels.append(_channel(data, layout.inputs[position], direction, header))
    return channels


def _channel(data: np.ndarray, bit: int, direction: Direction, header: _Header) -> Channel:
    if bit == 0:
        factor, units = _nm_per_count(header, "Z"), "nm"
        label = "Topography" if factor else "Topography (raw counts)"
    elif bit == 1:
        factor, units = _ampere_per_count(header), "A"
        label = "Current" if factor else "Current (raw counts)"
    else:
        return Channel(f"Auxiliary {bit - 1}", data, "", "other", direction)
    if not factor:
        return Channel(label, data, "", "other", direction)
    with np.errstate(over="ignore", invalid="ignore"):  # only damaged headers hold such factors
        np.multiply(data, factor, out=data)
    return Channel(label, data, units, "topography" if bit == 0 else "current", direction)


def _pixel_nm(header: _Header, shape: tuple[int, int]) -> tuple[float, float] | None:
    pitches = []
    for axis, pixels in zip("YX", shape, strict=True):
        length = _optional(header, f"Length {axis}[A]")
        step = _optional(header, f"Delta {axis}", f"Delta {axis} [Dac]")
        scale = _nm_per_count(header, axis)
        if length:
            pitches.append(abs(length) / 10 / pixels)
        elif step and scale:
            pitches.append(abs(step * scale))
        else:
            return None
    return credible_pitch(*pitches)


def _bias(header: _Header, passes: int) -> np.ndarray | float | None:
    if passes == 1:
        millivolt = _optional(
            header, "Biasvolt[mV]", "BiasVoltage", "BiasVolt.[mV]", "BiasVolt[mV]"
        )
        return None if millivolt is None else millivolt / 1e3
    each = [_optional(header, f"MVolt_{number}") for number in range(1, passes + 1)]
    return np.array([np.nan if value is None else value / 1e3 for value in each])


def _frame_centre_nm(header: _Header, shape: tuple[int, int]) -> tuple[float, float]:
    counts = (_optional(header, "OffsetX"), _optional(header, "OffsetY"))
    scales = (_nm_per_count(header, "X"), _nm_per_count(header, "Y"))
    pitch = _pixel_nm(header, shape)
    if None in counts or None in scales or pitch is None:
        return 0.0, 0.0
    top_x, top_y = (float(c or 0) * float(s or 0) for c, s in zip(counts, scales, strict=True))
    half_height = pitch[0] * shape[0] / 2
    angle = math.radians(_number(header, "Rotation", default=0.0))
    return -top_x + half_height * math.sin(angle), top_y - half_height * math.cos(angle)


def _setpoint(header: _Header) -> str:
    if _number(header, "CHMode", default=0.0) != 0:
        return "constant height"
    signal = _count(header, "FBChannel")
    if signal:
        level = _optional(header, "SetPoint")
        return f"feedback on channel {signal}" + ("" if level is None else f" at {level:.4g}")
    ampere = _optional(header, "SetPoint", "Current[A]")
    gain, millivolt = _preamplifier_gain(header), _optional(header, "FBLogIset")
    if not ampere and millivolt and gain:
        ampere = millivolt * 1e-3 / gain
    return f"{ampere * 1e12:.4g} pA" if ampere else ""


# Old files lack the first-line magic; their data are a zlib stream after "DATA".
_ZLIB_DATA = re.compile(rb"\nDATA\x78[\x01\x5e\x9c\xda]")


def _matches(head: bytes) -> bool:
    """Recognise images, and spectra ([ParVERT..]), which the reader refuses with the reason."""
    if head.startswith((b"[Paramco32]", b"[Paramet32]", b"[ParVERT")):
        return True
    return b"Num.X" in head and (head.startswith(b"[Parameter]") or bool(_ZLIB_DATA.search(head)))


FORMAT = ScanFormat(_NAME, (".dat",), _matches, read, shared=True)
