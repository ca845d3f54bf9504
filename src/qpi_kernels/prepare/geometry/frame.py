"""`Frame`: how the pixels of a new image lie in the image before it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.io.array_geometry import pitch_of

__all__ = ["Frame", "pitch", "world_nm"]


@dataclass(frozen=True, eq=False)
class Frame:
    """An affine map from the pixels of a new image to those of the old one.

    Parameters
    ----------
    shape : tuple of int
        (rows, columns) of the new image.
    matrix : array, (2, 2)
        ``old = matrix @ new + offset`` for positions (row, col) in pixels.
    offset : array, (2,)
        Old position of the new image's pixel (0, 0).
    """

    shape: tuple[int, int]
    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]

    @classmethod
    def about_centre(cls, old: tuple[int, int], new: tuple[int, int], matrix: ArrayLike) -> Frame:
        """Keep the middle of the image, ``(n - 1) / 2``, in the middle."""
        linear = np.asarray(matrix, float)
        offset = (np.array(old) - 1) / 2 - linear @ ((np.array(new) - 1) / 2)
        return cls(new, linear, offset)

    def to_old(self, positions: ArrayLike) -> NDArray[np.float64]:
        """Convert positions ``(..., 2)`` in pixels of the new image to the old one."""
        return np.asarray(np.asarray(positions, float) @ self.matrix.T + self.offset)

    def to_new(self, positions: ArrayLike) -> NDArray[np.float64]:
        """Convert positions ``(..., 2)`` in pixels of the old image to the new one."""
        away = np.asarray(positions, float) - self.offset
        return np.asarray(away @ np.linalg.inv(self.matrix).T)

    def grid(self) -> NDArray[np.float64]:
        """Return the old position of every new pixel, (2, rows, columns)."""
        rows, columns = np.indices(self.shape, float)
        along = self.matrix[:, :, None, None] * np.stack([rows, columns])
        return np.asarray(along.sum(axis=1) + self.offset[:, None, None])

    def of_pixels(self) -> Frame | None:
        """Return the map with whole numbers where every new pixel is an old one, else None."""
        matrix, offset = np.rint(self.matrix), np.rint(self.offset)
        error = np.abs(np.concatenate([(matrix - self.matrix).ravel(), offset - self.offset]))
        return Frame(self.shape, matrix, offset) if error.max() < 1e-9 else None

    def place(self, old: xr.DataArray, new: xr.DataArray) -> xr.DataArray:
        """Give a new image its coordinates, and its place and angle on the sample.

        Without rotation a pixel keeps its coordinates; with one the middle of the image does.
        Where the pitch is known in nm, ``attrs["offset_nm"]`` (centre (x, y), y upwards) and
        ``attrs["scan_angle_deg"]`` (positive clockwise) are those of the new frame; elsewhere
        those are kept up that begin with an ``attrs["offset_px"]``.
        """
        middle = (np.array(self.shape) - 1) / 2
        steps = _step(old)
        along = self.matrix * np.abs(steps)[:, None]  # as seen, whichever way coordinates count
        turn = _turn_deg(along)
        coords = {}
        for axis, name in enumerate(("y", "x")):
            if name not in old.coords:
                continue
            first = float(old[name].values[0])
            size = self.shape[axis]
            step = math.copysign(float(np.linalg.norm(along[:, axis])), steps[axis])
            centre = first + steps[axis] * self.to_old(middle)[axis]
            values = centre + (np.arange(size) - middle[axis]) * step
            coords[name] = (name, values, dict(old[name].attrs))
        placed = new.assign_coords(coords)
        offset = "offset_px" if pitch_of(old) is None else "offset_nm"
        if offset == "offset_px" and offset not in old.attrs:
            return placed
        x, y = world_nm(old, self.to_old(middle))
        angle = float(old.attrs.get("scan_angle_deg", 0.0)) - turn
        return placed.assign_attrs(
            {
                offset: (float(x), float(y)),
                "scan_angle_deg": (angle + 180.0) % 360.0 - 180.0,
            }
        )


def pitch(image: xr.DataArray) -> tuple[float, float, str]:
    """Return the pitch ``(y, x)`` of an image and its unit, ``nm``, or 1 and ``px`` if unknown."""
    known = pitch_of(image)
    return (1.0, 1.0, "px") if known is None else (*known, "nm")


def world_nm(image: xr.DataArray, positions: ArrayLike) -> NDArray[np.float64]:
    """Convert positions in pixels to the instrument's coordinates.

    Parameters
    ----------
    image : xarray.DataArray
        With a pitch in nm; ``attrs`` may tell ``offset_nm`` and ``scan_angle_deg`` as
        `qpi_kernels.io.scan_dataset` has them, else the frame lies straight about the origin.
    positions : array, (..., 2)
        (row, col) in pixels.

    Returns
    -------
    array, (..., 2)
        (x, y) in nm, y upwards; in steps of the coordinates where the pitch is unknown.
    """
    height, width = np.abs(_step(image))
    known = "offset_px" if pitch_of(image) is None else "offset_nm"
    middle = (np.array(image.shape[-2:]) - 1) / 2
    rows, columns = np.moveaxis(np.asarray(positions, float) - middle, -1, 0)
    right, up = columns * width, -rows * height
    angle = math.radians(float(image.attrs.get("scan_angle_deg", 0.0)))
    x, y = image.attrs.get(known, (0.0, 0.0))
    return np.stack(
        [
            x + right * math.cos(angle) + up * math.sin(angle),
            y - right * math.sin(angle) + up * math.cos(angle),
        ],
        axis=-1,
    )


def _step(image: xr.DataArray) -> tuple[float, float]:
    """Return the signed step of the coordinates along rows and columns, 1 where there are none."""
    steps = []
    for name in ("y", "x"):
        values = np.asarray(image[name].values, float) if name in image.coords else np.arange(2.0)
        steps.append(float(values[-1] - values[0]) / (values.size - 1) if values.size > 1 else 1.0)
    return steps[0], steps[1]


def _turn_deg(along: NDArray[np.float64]) -> float:
    """Return the angle of the new columns' direction in the old image, anticlockwise as seen."""
    down, right = along[:, 1]
    return math.degrees(math.atan2(-down, right))
