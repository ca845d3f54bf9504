"""Keys of a report that name the unit of the image."""

from __future__ import annotations

import re

import xarray as xr

__all__ = ["with_unit"]


def with_unit(name: str, image: xr.DataArray) -> str:
    """Append the image's unit to the name of a number; none if unknown.

    A quotient is written with ``per``: ``rms_nm``, ``rms_A_per_V`` of A/V, ``rms_per_nm`` of 1/nm.
    """
    first, *others = str(image.attrs.get("units", "")).split("/")
    parts = [_words("" if others and first.strip() == "1" else first)]
    for other in others:
        parts += ["per", _words(other)]
    return "_".join(filter(None, [name, *parts]))


def _words(unit: str) -> str:
    """Keep a unit's letters and digits, in words joined by underscores."""
    return "_".join(re.findall(r"[^\W_]+", unit))
