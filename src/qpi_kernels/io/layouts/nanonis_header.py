"""Parts of the three Nanonis formats: header values, channel names, units and the set-point."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qpi_kernels.io.physical_units import in_project_units
from qpi_kernels.io.scan import Direction, Quantity, ScanFormatError

__all__ = ["ChannelName", "Header", "read_header_text", "refuse_mostly_missing", "setpoint_text"]

_MAX_HEADER = 4 * 1024 * 1024
_MAX_AXIS = 65536
# Above this size a file that holds less than a hundredth of what it announces is refused: it is
# damaged, or too little was measured to be worth the memory.
_TRUSTED_BYTES = 32 * 1024 * 1024


def read_header_text(path: Path, end: bytes, format_name: str) -> tuple[str, int]:
    """Read the text header of a file.

    Parameters
    ----------
    path : Path
        The file.
    end : bytes
        The marker that ends the header.
    format_name : str
        Format name for the error.

    Returns
    -------
    text : str
        The header without its end marker; Nanonis writes Windows' Latin-1.
    stop : int
        Position of the first byte after the marker.

    Raises
    ------
    ScanFormatError
        If the marker is missing.
    """
    with path.open("rb") as file:
        head = file.read(_MAX_HEADER)
    position = head.find(end)
    if position < 0:
        name = end.decode("ascii").strip()
        raise ScanFormatError(path, format_name, f"the header has no end ({name} is missing)")
    return head[:position].decode("latin-1"), position + len(end)


@dataclass(frozen=True)
class Header:
    """Header entries of one file; every failed look-up names the entry.

    Parameters
    ----------
    path : Path
        The file, for errors.
    format : str
        Format name, for errors.
    entries : mapping
        From key to text.
    """

    path: Path
    format: str
    entries: Mapping[str, str]

    def error(self, reason: str) -> ScanFormatError:
        """Make the error that refuses this file."""
        return ScanFormatError(self.path, self.format, reason)

    def text(self, key: str) -> str:
        """Return an entry that must exist."""
        if key not in self.entries:
            raise self.error(f"the header lacks {key!r}")
        return self.entries[key].strip()

    def numbers(self, key: str, count: int) -> list[float]:
        """Return the first finite numbers of an entry, separated by blanks or semicolons."""
        words = self.text(key).replace(";", " ").split()
        try:
            values = [float(word) for word in words[:count]]
        except ValueError:
            values = []
        if len(values) < count or not all(map(math.isfinite, values)):
            shown = self.text(key)[:60]
            raise self.error(f"{key!r} should hold {count} numbers but reads {shown!r}")
        return values

    def number(self, *keys: str) -> float | None:
        """Return the first of some optional entries that starts with a finite number."""
        for key in keys:
            words = self.entries.get(key, "").split()
            try:
                value = float(words[0]) if words else math.nan
            except ValueError:
                continue
            if math.isfinite(value):
                return value
        return None

    @property
    def setpoint(self) -> str:
        """The controller's set-point and state in words; see `setpoint_text`."""
        return setpoint_text(
            self.number("Z-Controller>Setpoint"),
            self.entries.get("Z-Controller>Setpoint unit", "").strip(),
            self.entries.get("Z-Controller>Controller status", ""),
        )

    def counts(self, key: str, count: int) -> list[int]:
        """Return positive whole numbers; ``20 x 20`` and ``20 20`` are both understood."""
        words = re.findall(r"[^\sx]+", self.text(key))
        if len(words) != count or not all(re.fullmatch(r"[0-9]{1,9}", word) for word in words):
            raise self.error(
                f"{key!r} should hold {count} counts but reads {self.text(key)[:60]!r}"
            )
        return [int(word) for word in words]

    def image_size(self, key: str) -> tuple[int, int]:
        """Return the numbers of columns and rows."""
        columns, rows = self.counts(key, 2)
        if not (0 < columns <= _MAX_AXIS and 0 < rows <= _MAX_AXIS):
            raise self.error(f"{key!r} announces an impossible size of {columns} x {rows} points")
        return columns, rows

    def pixel_nm(
        self, size_m: tuple[float, float], points: tuple[int, int]
    ) -> tuple[float, float] | None:
        """Return the pitch ``(y, x)`` in nm from ``(x, y)`` size and point counts.

        A line of points has no width across: it takes the pitch along the line; a frame without
        any size has no pitch.
        """
        width, height = size_m
        if width < 0 or height < 0:
            raise self.error(f"the frame has a negative size ({width:g} m x {height:g} m)")
        pitch_x, pitch_y = 1e9 * width / points[0], 1e9 * height / points[1]
        pitch_x, pitch_y = pitch_x or pitch_y, pitch_y or pitch_x
        return (pitch_y, pitch_x) if pitch_x else None


def refuse_mostly_missing(header: Header, announced: int, present: int) -> None:
    """Refuse a file that announces far more bytes than it holds, before memory is taken.

    Raises
    ------
    ScanFormatError
        If more than 32 MiB are announced and less than a hundredth of them is there.
    """
    if announced > _TRUSTED_BYTES and present * 100 < announced:
        raise header.error(
            f"the header announces {announced / 2**20:.0f} MiB of data but only "
            f"{present / 2**20:.2g} MiB follow; the header is damaged or the scan barely started"
        )


_LOCK_IN = re.compile(
    r"li ?demod ?(?P<demodulator>\d+) x"
    r"|(?:lia? ?x|lock ?in(?: ?x)?)(?: 1)?(?: (?P<harmonic>\d+) omega)?"
    r"|di ?/? ?dv(?: x)?"
)


@dataclass(frozen=True)
class ChannelName:
    """A channel's name taken apart.

    Parameters
    ----------
    label : str
        The instrument's name without unit and direction, for example ``"LI Demod 1 X"``.
    unit : str
        Unit in the project's terms (lengths are nm) or ``""``.
    scale : float
        Factor from stored values to that unit.
    direction : str
        ``"backward"`` when the name carries ``[bwd]``, else ``"forward"``.
    """

    label: str
    unit: str
    scale: float
    direction: Direction

    @classmethod
    def parse(cls, text: str, unit: str | None = None) -> ChannelName:
        """Take apart a name such as ``"Current [bwd] (A)"``; `unit` may be known already."""
        # Filtered columns carry their tag behind the unit: "Current (A) [filt]".
        match = re.fullmatch(r"(.*?)\s*(?:\(([^()]*)\))?((?: \[\w+\])*)", text.strip(), re.DOTALL)
        name, in_name = (match[1] + match[3], match[2]) if match else (text, None)
        stored = unit if unit is not None else (in_name or "")
        scale, project_unit = in_project_units(stored)
        backward = "[bwd]" in name
        label = " ".join(name.replace("[bwd]", " ").split())
        return cls(
            label=label,
            unit=project_unit,
            scale=scale,
            direction="backward" if backward else "forward",
        )

    @property
    def plain(self) -> str:
        """The label in lower case without tags such as ``[AVG]``, ``[00001]`` or ``[P1]``."""
        untagged = re.sub(r"\[[^\]]*\]", " ", self.label)
        return re.sub(r"[\s_-]+", " ", untagged).strip().lower()

    @property
    def is_single_sweep(self) -> bool:
        """True if it is one of several sweeps that were also averaged."""
        return re.search(r"\[\d+\]", self.label) is not None

    @property
    def is_filtered(self) -> bool:
        """True if it is the smoothed copy of another column."""
        return "[filt]" in self.label

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Return contiguous float32 values in the channel's unit."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.ascontiguousarray(values * np.float32(self.scale), dtype=np.float32)

    def quantity(self, header: Mapping[str, str]) -> Quantity:
        """Tell what the channel is; a lock-in counts as dI/dV only at the first harmonic of I."""
        if self.plain == "z":
            return "topography"
        if self.plain == "current":
            return "current"
        if self.plain == "bias":
            return "bias"
        match = _LOCK_IN.fullmatch(self.plain)
        if match is None:
            return "other"
        harmonic = match["harmonic"] or "1"
        number = match["demodulator"]
        if number is not None:
            harmonic = header.get(f"Lock-in>Harmonic D{number}", "1").strip()
            signal = header.get("Lock-in>Demodulated signal", "Current")
            signal = header.get(f"Lock-in>Demodulated signal D{number}", signal)
            if not signal.strip().lower().startswith(("current", "input 1")):
                return "other"
        return "didv" if harmonic in ("1", "") else "other"


_PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"), (1e-12, "p"), (1e-15, "f"))


def setpoint_text(value: float | None, unit: str, feedback: str) -> str:
    """Put the set-point in words.

    Parameters
    ----------
    value : float or None
        Set-point in `unit`; None when unknown.
    unit : str
        For example ``"A"``.
    feedback : str
        Nanonis' word for the controller's state: ``1``, ``ON``, ``TRUE`` mean on, ``""`` unknown.

    Returns
    -------
    str
        Such as ``"30 pA, feedback on"``.
    """
    return ", ".join(_setpoint_parts(value, unit, feedback))


def _setpoint_parts(value: float | None, unit: str, feedback: str) -> Iterator[str]:
    """Yield the set-point and the state of the feedback in words."""
    if value is not None:
        smallest = _PREFIXES[-1] if value else (1.0, "")
        factor, prefix = next(
            (pair for pair in _PREFIXES if abs(value) >= 0.9999 * pair[0]), smallest
        )
        yield f"{value / factor:.4g} {prefix}{unit}".rstrip()
    if feedback.strip():
        on = feedback.strip().upper() in ("1", "ON", "TRUE")
        yield f"feedback {'on' if on else 'off'}"
