"""A preparation's report in words, one line for each step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["report_lines"]

# Units at the end of a report's keys, and as they are written.
_UNITS = {
    "px": "px",
    "nm": "nm",
    "pm": "pm",
    "deg": "deg",
    "V": "V",
    "mV": "mV",
    "Hz": "Hz",
    "rad": "rad",
    "A": "A",
    "nA": "nA",
    "pA": "pA",
    "S": "S",
    "nS": "nS",
    "pS": "pS",
    "arb_units": "arb. units",
    "share": "%",
    "percent": "%",
}
_UNIT = "|".join(sorted(_UNITS, key=len, reverse=True))
# A unit, or a quotient of two, which lacks the first where that is 1.
_ENDING = re.compile(rf"_(?:(?P<above>{_UNIT})_)?per_(?P<below>{_UNIT})$|_(?P<alone>{_UNIT})$")


def report_lines(report: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Write what every step found.

    Parameters
    ----------
    report : mapping
        As `qpi_kernels.prepare.Prepared.report`; arrays are left out.

    Returns
    -------
    list of str
        Such as ``"align rows: rms 0.0123 nm, rows 512"``.
    """
    lines = []
    for step, found in report.items():
        parts = [text for key, value in found.items() if (text := _words(key, value))]
        lines.append(f"{step.replace('_', ' ')}: {', '.join(parts) or 'done'}")
    return lines


def _words(key: str, value: Any) -> str:
    """Write one number with its unit; sentences as they are; nothing for arrays and None."""
    if isinstance(value, str):
        return value.rstrip(".")
    if isinstance(value, bool | np.bool_):
        return f"{key.replace('_', ' ')} {'yes' if value else 'no'}"
    if not isinstance(value, int | float | np.integer | np.floating):
        return ""
    name, unit = key, ""
    if ending := _ENDING.search(key):
        above, below, alone = ending.group("above", "below", "alone")
        name = key[: ending.start()]
        unit = _UNITS[alone] if alone else f"{_UNITS.get(above, 1)}/{_UNITS[below]}"
    number = 100 * value if key.endswith("_share") else value
    shown = f"{number:d}" if isinstance(number, int | np.integer) else f"{number:.3g}"
    return f"{name.replace('_', ' ')} {shown} {unit}".rstrip()
