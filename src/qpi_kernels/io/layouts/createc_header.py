"""`CreatecHeader`: entries of a Createc header by name, and the calibrations that follow from them.

`qpi_kernels.io.formats.createc` tells where the calibrations come from.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from qpi_kernels.io.physical_units import credible_pitch

__all__ = ["CreatecHeader"]


@dataclass(frozen=True)
class CreatecHeader:
    """The header of a Createc image.

    Parameters
    ----------
    lines : dict
        From the keys as they stand, ``"Key / Alias"``, to text.
    by_name : dict
        From each name in lower case, key or alias, to text.
    """

    lines: dict[str, str]
    by_name: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> CreatecHeader:
        """Split a header into its ``Key / Alias=value`` lines."""
        lines: dict[str, str] = {}
        by_name: dict[str, str] = {}
        for line in re.split(r"[\r\n]+", text):
            key, equals, value = line.partition("=")
            if not (equals and key.strip() and key.isprintable() and len(line) < 400):
                continue
            lines.setdefault(key.strip(), value.strip())
            for name in (key, *key.split(" / ")):
                by_name.setdefault(_plain(name), value.strip())
        return cls(lines, by_name)

    def optional(self, *names: str) -> float | None:
        """Return the first of the named entries that is a finite number; decimal commas count."""
        for name in names:
            try:
                number = float(self.by_name.get(_plain(name), "").replace(",", "."))
            except ValueError:
                continue
            if math.isfinite(number):
                return number
        return None

    def number(self, *names: str, default: float) -> float:
        """Return the first of the named entries that is a finite number, or the default."""
        number = self.optional(*names)
        return default if number is None else number

    def count(self, *names: str) -> int:
        """Return the first of the named entries as a positive whole number, or 0."""
        number = self.number(*names, default=0.0)
        return int(number) if number == int(number) and 0 < number < 2**31 else 0

    def nm_per_count(self, axis: str) -> float | None:
        """Return piezo motion in nm per count, from the rounded Dacto or the piezo constant."""
        gain = self._gain(axis)
        angstrom = self.optional("Dacto[A]z" if axis == "Z" else "Dacto[A]xy")
        if not angstrom:
            piezo = self.optional(f"{axis}Piezoconst")
            angstrom = None if piezo is None else piezo * 20 / 2**self._dac_bits
        return angstrom * gain / 10 if angstrom and gain else None

    @property
    def ampere_per_count(self) -> float | None:
        """Current in A per count; None without the preamplifier's gain."""
        gain = self._preamplifier_gain
        return None if gain is None else 20 / 2**self._dac_bits / gain

    def pixel_nm(self, shape: tuple[int, int]) -> tuple[float, float] | None:
        """Return the pitch ``(y, x)`` in nm of an image of `shape`; None when unknown."""
        pitches = []
        for axis, pixels in zip("YX", shape, strict=True):
            length = self.optional(f"Length {axis}[A]")
            step = self.optional(f"Delta {axis}", f"Delta {axis} [Dac]")
            scale = self.nm_per_count(axis)
            if length:
                pitches.append(abs(length) / 10 / pixels)
            elif step and scale:
                pitches.append(abs(step * scale))
            else:
                return None
        return credible_pitch(*pitches)

    def scan_speed_nm_s(self, shape: tuple[int, int]) -> tuple[float, float] | None:
        """Return the tip's speed along the rows, both ways alike; None when unknown.

        ``Sec/line`` counts one way: two of them for each row make ``Sec/Image`` (two local files).
        """
        seconds, pitch = self.optional("Sec/line:", "Sec/line"), self.pixel_nm(shape)
        if not seconds or seconds < 0 or pitch is None:
            return None
        speed = pitch[1] * shape[1] / seconds
        return speed, speed

    def bias(self, passes: int) -> np.ndarray | float | None:
        """Return the bias in V: of the image, or of each pass when there are several."""
        if passes == 1:
            millivolt = self.optional(
                "Biasvolt[mV]", "BiasVoltage", "BiasVolt.[mV]", "BiasVolt[mV]"
            )
            return None if millivolt is None else millivolt / 1e3
        each = [self.optional(f"MVolt_{number}") for number in range(1, passes + 1)]
        return np.array([np.nan if value is None else value / 1e3 for value in each])

    def frame_centre_nm(self, shape: tuple[int, int]) -> tuple[float, float]:
        """Return the centre ``(x, y)`` in nm, y upwards; (0, 0) when unknown."""
        counts = (self.optional("OffsetX"), self.optional("OffsetY"))
        scales = (self.nm_per_count("X"), self.nm_per_count("Y"))
        pitch = self.pixel_nm(shape)
        if None in counts or None in scales or pitch is None:
            return 0.0, 0.0
        top_x, top_y = (float(c or 0) * float(s or 0) for c, s in zip(counts, scales, strict=True))
        half_height = pitch[0] * shape[0] / 2
        angle = math.radians(self.number("Rotation", default=0.0))
        return -top_x + half_height * math.sin(angle), top_y - half_height * math.cos(angle)

    @property
    def setpoint(self) -> str:
        """The feedback's set-point in words; empty when unknown."""
        if self.number("CHMode", default=0.0) != 0:
            return "constant height"
        signal = self.count("FBChannel")
        if signal:
            level = self.optional("SetPoint")
            return f"feedback on channel {signal}" + ("" if level is None else f" at {level:.4g}")
        ampere = self.optional("SetPoint", "Current[A]")
        gain, millivolt = self._preamplifier_gain, self.optional("FBLogIset")
        if not ampere and millivolt and gain:
            ampere = millivolt * 1e-3 / gain
        return f"{ampere * 1e12:.4g} pA" if ampere else ""

    @property
    def _dac_bits(self) -> int:
        digits = re.search(r"\d+", self.by_name.get("dac-type", ""))
        bits = int(digits[0]) if digits and len(digits[0]) < 4 else 20
        return bits if 8 <= bits <= 32 else 20

    @property
    def _preamplifier_gain(self) -> float | None:
        decades = self.optional("Gainpreamp", "GainPre 10^")
        return None if decades is None or abs(decades) > 15 else math.pow(10.0, decades)

    def _gain(self, axis: str) -> float | None:
        """Return a piezo amplifier's gain, from its own entry or the list of all three."""
        gains = self.by_name.get("actgainxyz", "").split()
        spare = CreatecHeader({}, dict(zip(("gainx", "gainy", "gainz"), gains, strict=False)))
        gain = self.optional(f"Gain{axis}")
        return gain if gain is not None else spare.optional(f"Gain{axis}")


def _plain(name: str) -> str:
    return name.strip().rstrip(":").lower().replace("å", "a")
