"""`CutLines`: a line for the map, one for the kernel and one for all transforms."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr

from napari_qpi.tasks.inspection.state import Inspection, Line

__all__ = ["CutLines", "Space", "default_line"]

Space = Literal["real", "q"]

_MARGIN = 0.1
_WIDTH_STEPS = 3


class CutLines:
    """Keep the lines that belong to different coordinates, while one of them is in use.

    Parameters
    ----------
    inspection : Inspection
        Its line is the one in use.
    """

    def __init__(self, inspection: Inspection) -> None:
        self._inspection = inspection
        self._kept: dict[str, Line] = {}
        self._frame = ""

    def use(self, space: Space, role: str) -> Line | None:
        """Put the line of a space and an array into use; None without the array."""
        image = self._inspection.data.image(role)
        if image is None:
            return None
        if self._frame and self._inspection.line is not None:
            self._kept[self._frame] = self._inspection.line
        self._frame = space if space == "q" else ("kernel" if role == "kernel" else "map")
        kept = self._kept.get(self._frame)
        if kept is None or not _lies_within(kept, image):
            kept = default_line(space, image)
        self._kept[self._frame] = kept
        self._inspection.line = kept
        return kept


def default_line(space: Space, image: xr.DataArray) -> Line:
    """Propose a line.

    Parameters
    ----------
    space : {"real", "q"}
        Where it is to lie.
    image : xarray.DataArray
        ``(..., y, x)``.

    Returns
    -------
    Line
        Through the middle of the image along its rows, or from q = 0 to the right as far as the
        transform reaches, and then as wide as three of its steps.
    """
    down, across = (np.asarray(image[axis].values, float) for axis in ("y", "x"))
    if space == "real":
        middle = float(down[(len(down) - 1) // 2])
        left = float(across[0] + _MARGIN * (across[-1] - across[0]))
        right = float(across[-1] - _MARGIN * (across[-1] - across[0]))
        return Line("real", (middle, left), (middle, right))
    step = abs(float(across[1] - across[0]))
    finest = 2 * np.pi / (len(across) * step)
    reach = finest * ((len(across) - 1) // 2)
    return Line("q", (0.0, 0.0), (0.0, float(reach)), width=float(_WIDTH_STEPS * finest))


def _lies_within(line: Line, image: xr.DataArray) -> bool:
    """Tell whether a line crosses an image; another map may lie elsewhere."""
    if line.space == "q":
        return True
    places = np.array([line.start, line.stop])
    axes = [np.asarray(image[axis].values, float) for axis in ("y", "x")]
    low = np.array([axis.min() for axis in axes])
    high = np.array([axis.max() for axis in axes])
    return bool((places.max(axis=0) > low).all() and (places.min(axis=0) < high).all())
