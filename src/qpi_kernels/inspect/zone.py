"""Bragg peaks of a map and the first Brillouin zone that they span."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import Voronoi

from qpi_kernels.inspect.axes import (
    ImageTypeError,
    InspectionError,
)
from qpi_kernels.prepare.lattice.bragg_peaks import find_bragg_peaks

__all__ = ["bragg_peaks", "brillouin_zone"]

_COMPONENTS = ["q_y", "q_x"]
# Vectors within 6 degrees of one another do not span a plane.
_MIN_SINE = 0.1
_NEIGHBOURS = 2
_SAME_CORNER = 0.01


def bragg_peaks(
    image: xr.DataArray,
    *,
    mask: ArrayLike | None = None,
    lattice_constant: float | None = None,
) -> xr.DataArray:
    """Find the Bragg peaks of first order of an image with atomic resolution.

    Parameters
    ----------
    image : xarray.DataArray
        ``(y, x)``, or ``(bias, y, x)`` of which the mean is searched: a topograph rather than a
        map of dI/dV.
    mask : array of bool, (y, x), optional
        True where a pixel counts.
    lattice_constant : float, optional
        In nm (px without a pitch); tells the lattice from a moire or a charge density wave.

    Returns
    -------
    xarray.DataArray, (peak, component)
        (q_y, q_x) in rad/nm, refined between the points of the transform, of all 4 or 6 peaks,
        anticlockwise as seen. ``attrs["symmetry"]`` is ``square``, ``hexagonal`` or ``oblique``.

    Raises
    ------
    PreparationError
        If the lattice is not resolved.
    ImageTypeError
        If the image has no labels.
    """
    if not isinstance(image, xr.DataArray):
        raise ImageTypeError(
            "Bragg peaks are those of a map, (y, x) in nm as an xarray.DataArray; of a result give "
            f"its observation, not {type(image).__name__}"
        )
    found = find_bragg_peaks(image, mask=mask, lattice_constant=lattice_constant)
    half = found.vectors
    if found.symmetry == "hexagonal" and len(half) == 2:
        # The third star vector is the shorter of sum and difference.
        third = min((half[0] + half[1], half[0] - half[1]), key=np.linalg.norm)
        half = np.vstack([half, third])
    peaks = np.vstack([half, -half])
    peaks = peaks[np.argsort(_seen_angle(peaks))]
    attrs = {"symmetry": found.symmetry, "lattice_constant": found.constant}
    return _vectors(peaks, "peak", f"rad/{found.unit}", "Bragg peaks").assign_attrs(attrs)


def brillouin_zone(peaks: ArrayLike | xr.DataArray) -> xr.DataArray:
    """Outline the first Brillouin zone of a lattice.

    Parameters
    ----------
    peaks : array, (n, 2)
        (q_y, q_x) of two or more Bragg peaks in different directions, as `bragg_peaks` finds them;
        the shortest two that span the plane count.

    Returns
    -------
    xarray.DataArray, (corner, component)
        (q_y, q_x) of the corners, anticlockwise as seen, the first one again at the end. The zone
        holds what is nearer to q = 0 than to any other point of the reciprocal lattice.

    Raises
    ------
    InspectionError
        If the peaks span no plane.
    """
    vectors = np.asarray(peaks, np.float64)
    if vectors.ndim != 2 or vectors.shape[-1] != 2 or not np.isfinite(vectors).all():
        raise InspectionError("Bragg peaks must be an array (n, 2) of (q_y, q_x)")
    first, second = _reduced_basis(vectors)
    orders = np.arange(-_NEIGHBOURS, _NEIGHBOURS + 1)
    lattice = orders[:, None, None] * first + orders[:, None] * second
    points = lattice.reshape(-1, 2)
    cells = Voronoi(points)
    middle = int(np.argmin(np.linalg.norm(points, axis=1)))
    corners = cells.vertices[cells.regions[cells.point_region[middle]]]
    corners = corners[np.argsort(_seen_angle(corners))]
    # Four cells meet at the corner of a square; of measured peaks they do so but for the error.
    apart = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1)
    corners = corners[apart > _SAME_CORNER * np.linalg.norm(first)]
    unit = peaks.attrs.get("units", "") if isinstance(peaks, xr.DataArray) else ""
    outline = np.vstack([corners, corners[:1]])
    return _vectors(outline, "corner", unit, "first Brillouin zone")


def _reduced_basis(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Choose the shortest two vectors that span the plane; reduce them as Lagrange and Gauss."""
    ordered = vectors[np.argsort(np.linalg.norm(vectors, axis=1), kind="stable")]
    first = ordered[0]
    for second in ordered[1:]:
        area = abs(first[0] * second[1] - first[1] * second[0])
        if area > _MIN_SINE * np.linalg.norm(first) * np.linalg.norm(second) > 0:
            break
    else:
        raise InspectionError("give Bragg peaks in two directions: these lie on one line")
    while True:
        second = second - np.rint(first @ second / (first @ first)) * first
        if np.linalg.norm(second) >= np.linalg.norm(first) * (1 - 1e-12):
            return first, second
        first, second = second, first


def _seen_angle(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return directions anticlockwise from the horizontal as seen, 0 to 2 pi."""
    return np.asarray(np.arctan2(-vectors[:, 0], vectors[:, 1]) % (2 * np.pi))


def _vectors(values: NDArray[np.float64], dim: str, unit: str, name: str) -> xr.DataArray:
    coords: dict[str, Any] = {"component": _COMPONENTS}
    attrs = {"units": unit, "long_name": name}
    return xr.DataArray(values, dims=(dim, "component"), coords=coords, attrs=attrs)
