"""Vendor unit strings in this project's units, and what a channel with such a unit probably is."""

from __future__ import annotations

import re

from qpi_kernels.io.scan import Direction, Quantity

__all__ = ["credible_pitch", "direction_of", "in_project_units", "quantity_of"]

_PREFIXES = {
    "a": 1e-18,
    "f": 1e-15,
    "p": 1e-12,
    "n": 1e-9,
    "u": 1e-6,
    "µ": 1e-6,
    "μ": 1e-6,
    "m": 1e-3,
    "": 1.0,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
}
_SPELLED_OUT = {
    "meter": "m",
    "metre": "m",
    "volt": "V",
    "ampere": "A",
    "hertz": "Hz",
    "siemens": "S",
    "angstrom": "Å",
    "\u212b": "Å",
}
_CONDUCTANCE = re.compile(r"(?P<current>[afpnuµμm]?A)\s*/\s*(?P<voltage>[uµμmk]?V)")
_LOCK_IN = re.compile(r"\bdi/?dv\b|\bli(?:a)?\b|lock[ -_]?in|\bl?dos\b|demod", re.IGNORECASE)
_BACKWARD = re.compile(r"\b(?:backward|backwards|bwd|retrace|left)\b", re.IGNORECASE)
_FORWARD = re.compile(r"\b(?:forward|forwards|fwd|trace|right)\b", re.IGNORECASE)


def in_project_units(unit: str) -> tuple[float, str]:
    """Convert a vendor's unit to the project's.

    Parameters
    ----------
    unit : str
        Such as ``"m"``, ``"pm"``, ``"Å"``, ``"nA"``, ``"mV"``, ``"Volt"``, ``"nA/V"`` or ``""``.

    Returns
    -------
    factor : float
        Multiply the data by it.
    unit : str
        ``"nm"`` for lengths, ``"A"``, ``"V"``, ``"S"`` and ``"Hz"``; any other unit unchanged with
        factor 1.
    """
    unit = unit.strip()
    unit = _SPELLED_OUT.get(unit.lower(), unit)
    if unit == "Å":
        return 0.1, "nm"
    ratio = _CONDUCTANCE.fullmatch(unit)
    if ratio:
        current, _ = in_project_units(ratio["current"])
        voltage, _ = in_project_units(ratio["voltage"])
        return current / voltage, "S"
    for base in ("Hz", "m", "V", "A", "S"):
        prefix = unit.removesuffix(base)
        if prefix != unit and prefix in _PREFIXES:
            factor = _PREFIXES[prefix]
            return (factor * 1e9, "nm") if base == "m" else (factor, base)
    return 1.0, unit


def credible_pitch(y: float, x: float) -> tuple[float, float] | None:
    """Return the pixel pitch ``(y, x)`` in nm, or None where no microscope could have such one."""
    return (y, x) if all(1e-6 < value < 1e9 for value in (y, x)) else None


def quantity_of(label: str, unit: str) -> Quantity:
    """Guess what a channel is from its name and its unit (already the project's).

    Lock-in channels are dI/dV whatever their unit; otherwise lengths are topography and currents
    current.
    """
    if unit == "S" or _LOCK_IN.search(label):
        return "didv"
    if unit == "nm":
        return "topography"
    return "current" if unit == "A" else "other"


def direction_of(label: str) -> Direction:
    """Find the scan direction in a channel's name, as in ``"Z (Backward)"``."""
    if _BACKWARD.search(label):
        return "backward"
    return "forward" if _FORWARD.search(label) else "none"
