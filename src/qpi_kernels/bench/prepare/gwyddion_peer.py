"""Gwyddion's library, called through ctypes: no window, no Python 2."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import byref, c_double, c_int, c_void_p
from ctypes.util import find_library
from typing import Any

import numpy as np

from qpi_kernels.bench.peers import Array, MissingPeer, Way

__all__ = ["gwyddion_ways"]

_IGNORE_MASK = 2
_HALF = 0.5
"""Share of values trimmed at either end of the mean: a median."""
_FACET_ROUNDS = 40


def gwyddion_ways() -> list[Way]:
    """List Gwyddion's ways to align rows and to level; its filters of tones need a drawn mask.

    Raises
    ------
    MissingPeer
        If its libraries are not installed.
    """
    gwyddion = _Gwyddion()
    mean, difference = "find_row_shifts_trimmed_mean", "find_row_shifts_trimmed_diff"

    def way(task: Any, name: str, *jobs: Callable[[c_void_p], None]) -> Way:
        return Way(gwyddion.tool, name, task, lambda raw: gwyddion.run(raw, *jobs))

    def rows(kind: str) -> Callable[[c_void_p], None]:
        return lambda field: gwyddion.align_rows(field, kind)

    return [
        way("rows", "align rows, median", rows(mean)),
        way("rows", "align rows, median of differences", rows(difference)),
        way("step", "plane level", gwyddion.level_plane),
        way("step", "facet level", gwyddion.level_facets),
        way("step", "median rows, plane level", rows(mean), gwyddion.level_plane),
        way("step", "median of differences, plane level", rows(difference), gwyddion.level_plane),
        way("step", "median of differences, facet level", rows(difference), gwyddion.level_facets),
    ]


class _Gwyddion:
    """Gwyddion's processing library with the few functions needed.

    Each public method takes a ``GwyDataField`` and changes it as the menu's entry does.
    """

    def __init__(self) -> None:
        names = ("gwyddion2", "gwyprocess2", "gobject-2.0")
        found = [find_library(name) for name in names]
        if not all(found):
            raise MissingPeer("Gwyddion: apt-get install gwyddion (its libraries are not found)")
        # Its libraries find one another's symbols only if these are global.
        core, self._library, self._objects = (
            ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL) for name in found
        )
        core.gwy_version_string.restype = ctypes.c_char_p
        self.tool = f"Gwyddion {core.gwy_version_string().decode()}"
        self._library.gwy_process_type_init()
        number = ctypes.POINTER(c_double)
        types: dict[str, tuple[Any, list[Any]]] = {
            "new": (c_void_p, [c_int, c_int, c_double, c_double, c_int]),
            "get_data": (number, [c_void_p]),
            "fit_plane": (None, [c_void_p, number, number, number]),
            "fit_facet_plane": (c_int, [c_void_p, c_void_p, c_int, number, number, number]),
            "plane_level": (None, [c_void_p, c_double, c_double, c_double]),
            "find_row_shifts_trimmed_mean": (
                c_void_p,
                [c_void_p, c_void_p, c_int, c_double, c_int],
            ),
            "find_row_shifts_trimmed_diff": (
                c_void_p,
                [c_void_p, c_void_p, c_int, c_double, c_int],
            ),
            "subtract_row_shifts": (None, [c_void_p, c_void_p]),
        }
        for name, (result, arguments) in types.items():
            function = self._call(name)
            function.restype, function.argtypes = result, arguments
        self._objects.g_object_unref.argtypes = [c_void_p]

    def _call(self, name: str) -> Any:
        return getattr(self._library, f"gwy_data_field_{name}")

    def run(self, raw: Array, *jobs: Callable[[c_void_p], None]) -> Array:
        """Copy a map into Gwyddion, change it there, and copy it back."""
        height, width = raw.shape
        values = np.ascontiguousarray(raw, dtype=np.float64)
        field = self._call("new")(width, height, width, height, 0)
        data = self._call("get_data")(field)
        ctypes.memmove(data, values.ctypes.data, values.nbytes)
        for job in jobs:
            job(field)
        made = np.ctypeslib.as_array(data, raw.shape).copy()
        self._objects.g_object_unref(field)
        return made

    def align_rows(self, field: c_void_p, kind: str) -> None:
        """Subtract the offsets of rows."""
        shifts = self._call(kind)(field, None, _IGNORE_MASK, _HALF, 1)
        self._call("subtract_row_shifts")(field, shifts)
        self._objects.g_object_unref(shifts)

    def level_plane(self, field: c_void_p) -> None:
        """Subtract the plane of least squares."""
        plane = [c_double() for _ in range(3)]
        self._call("fit_plane")(field, *map(byref, plane))
        self._call("plane_level")(field, *plane)

    def level_facets(self, field: c_void_p) -> None:
        """Turn the most frequent slope upwards, in rounds as the menu's entry does."""
        for _ in range(_FACET_ROUNDS):
            plane = [c_double() for _ in range(3)]
            if not self._call("fit_facet_plane")(field, None, _IGNORE_MASK, *map(byref, plane)):
                return
            self._call("plane_level")(field, *plane)
