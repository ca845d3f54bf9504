"""Bragg peaks: which sharp peaks of a spectrum belong to the atomic lattice."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Annotated, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from qpi_kernels.prepare.geometry.frame import pitch
from qpi_kernels.prepare.lattice.spectrum import Spectrum, without_edges
from qpi_kernels.prepare.prepared import PreparationError, label_image
from qpi_kernels.prepare.reference_plane import mean_plane

__all__ = [
    "BraggPeaks",
    "BraggVectors",
    "bragg_peaks_of",
    "chosen_peaks",
    "find_bragg_peaks",
    "symmetry_of",
]

BraggVectors = Annotated[
    tuple[tuple[float, float], ...] | None,
    Field(
        description="Two or three Bragg vectors (row, col), 2 pi / wavelength; found if left out. "
        "In rad/px where the image has no pitch.",
        json_schema_extra={"unit": "rad/nm"},
    ),
]
"""Field of a step that needs the lattice."""

Symmetry = Literal["square", "hexagonal", "oblique"]

_PROMINENCE = 5.0
_CLEAR_PROMINENCE = 10.0
_MAX_PEAKS = 16
# Atomic rows are closer; wider ones are those of a moire if there are others.
_WIDE_SPACING_NM = 0.8
_WIDE_SPACING_WEIGHT = 0.05
# How far drift shears a lattice: lengths by 15 %, angles by 8 degrees.
_LENGTH_TOLERANCE = 0.15
_ANGLE_TOLERANCE_DEG = 8.0
_MIN_OBLIQUE_DEG = 25.0
_SUM_TOLERANCE = 0.05
_GIVEN_LENGTH_TOLERANCE = 0.25
_MINIMUM_PX = 16


@dataclass(frozen=True, eq=False)
class BraggPeaks:
    """Bragg peaks of first order, one of each pair +q, -q.

    Parameters
    ----------
    vectors : array, (2 or 3, 2)
        (row, col) in rad per `unit`, 2 pi / wavelength. Three of them add up to zero or one is
        the sum of the others.
    vectors_px : array, (2 or 3, 2)
        The same in rad/px.
    prominence : array, (2 or 3,)
        Amplitudes over the background.
    symmetry : str
        ``square`` or ``hexagonal`` within what drift distorts, else ``oblique``.
    unit : str
        ``nm``, or ``px`` where the pitch is not known.
    """

    vectors: NDArray[np.float64]
    vectors_px: NDArray[np.float64]
    prominence: NDArray[np.float64]
    symmetry: Symmetry
    unit: str

    @property
    def spacing_px(self) -> float:
        """Mean distance of lattice rows in px, the longest scale that a lock-in must average."""
        return float(2 * np.pi / np.linalg.norm(self.vectors_px, axis=1).mean())

    @property
    def constant(self) -> float:
        """Lattice constant in `unit`: the root of the cell's area, of a rhombus if hexagonal."""
        area = (2 * np.pi) ** 2 / abs(np.linalg.det(self.vectors[:2]))
        return float(np.sqrt(area / (np.sqrt(0.75) if self.symmetry == "hexagonal" else 1.0)))


def find_bragg_peaks(
    image: ArrayLike | xr.DataArray,
    *,
    mask: ArrayLike | None = None,
    lattice_constant: float | None = None,
) -> BraggPeaks:
    """Find the Bragg peaks of the atomic lattice.

    Parameters
    ----------
    image : array or xarray.DataArray
        ``(y, x)``, or ``(bias, y, x)`` of which the mean is searched.
    mask : array of bool, (y, x), optional
        True where a pixel counts.
    lattice_constant : float, optional
        In nm, or px where the pitch is not known; tells the lattice from a moire or a charge
        density wave.

    Returns
    -------
    BraggPeaks
        Two or three pairs.

    Raises
    ------
    PreparationError
        If the lattice is not resolved: no two pairs of peaks stand five times above their
        background.
    """
    labelled = label_image(image)
    plane = mean_plane(labelled)
    if mask is not None:
        plane = np.where(np.asarray(mask, bool), plane, np.nan)
    height, width, unit = pitch(labelled)
    return bragg_peaks_of(plane, (height, width), unit, lattice_constant)


def bragg_peaks_of(
    plane: NDArray[np.float64],
    pitches: tuple[float, float],
    unit: str,
    constant: float | None = None,
) -> BraggPeaks:
    """Find the Bragg peaks of a plane with NaN where nothing counts; see `find_bragg_peaks`."""
    if min(plane.shape) < _MINIMUM_PX or not np.isfinite(plane).any():
        raise PreparationError(
            f"the lattice is not resolved: {plane.shape} pixels are too few to find Bragg peaks"
        )
    found = _lattice(plane, pitches, unit, constant)
    if found is None:
        found = _lattice(without_edges(plane), pitches, unit, constant)
    if found is None:
        raise PreparationError(
            f"the lattice is not resolved: no two pairs of peaks that stand {_PROMINENCE:g} times "
            "above their background make a lattice"
            + (f" of {constant:g} {unit}" if constant else "")
            + "; use an image with atomic resolution, or give the Bragg peaks"
        )
    return found


def chosen_peaks(
    plane: NDArray[np.float64],
    pitches: tuple[float, float],
    unit: str,
    given: tuple[tuple[float, float], ...] | None,
    constant: float | None,
) -> BraggPeaks:
    """Check given Bragg vectors (row, col) in rad per unit, or find them if there are none."""
    if given is None:
        return bragg_peaks_of(plane, pitches, unit, constant)
    vectors = np.array(given)
    in_px = vectors * np.array(pitches)
    if len(vectors) not in (2, 3) or abs(np.linalg.det(in_px[:2])) < 1e-6:
        raise PreparationError("give two or three Bragg vectors (row, col) in two directions")
    if not (np.abs(in_px) <= np.pi).all():
        raise PreparationError(
            f"Bragg vectors in rad/{unit} must lie within pi/pixel, {np.pi / pitches[0]:.3g} "
            f"along the columns and {np.pi / pitches[1]:.3g} along the rows"
        )
    unknown = np.full(len(vectors), np.nan)
    return BraggPeaks(vectors, in_px, unknown, symmetry_of(vectors[0], vectors[1]), unit)


def _lattice(
    plane: NDArray[np.float64],
    pitches: tuple[float, float],
    unit: str,
    constant: float | None,
) -> BraggPeaks | None:
    """Choose the sharp peaks that most clearly make a lattice."""
    peaks = Spectrum.of(plane).peaks(_PROMINENCE)
    waves, prominence = peaks.waves[:_MAX_PEAKS], peaks.prominence[:_MAX_PEAKS]
    vectors = waves / np.array(pitches)
    # Beyond some prominence the strength counts, else a clean second order would win.
    strength = peaks.amplitude[:_MAX_PEAKS] * np.minimum(prominence, _CLEAR_PROMINENCE)
    if unit == "nm":
        wide = 2 * np.pi / np.linalg.norm(vectors, axis=1) > _WIDE_SPACING_NM
        strength = strength * np.where(wide, _WIDE_SPACING_WEIGHT, 1.0)
    pairs = combinations(range(len(vectors)), 2)
    groups = [_group(vectors, strength, pair, constant) for pair in pairs]
    score, members, symmetry = max(groups, key=lambda group: group[0], default=(0.0, (), "oblique"))
    if score == 0:
        return None
    chosen = list(members)
    return BraggPeaks(vectors[chosen], waves[chosen], prominence[chosen], symmetry, unit)


def symmetry_of(first: NDArray[np.float64], second: NDArray[np.float64]) -> Symmetry:
    """Name the lattice that two reciprocal vectors span."""
    lengths = np.linalg.norm([first, second], axis=1)
    if abs(np.log(lengths[0] / lengths[1])) < _LENGTH_TOLERANCE:
        angle = _angle_deg(first, second)
        if abs(angle - 90) < _ANGLE_TOLERANCE_DEG:
            return "square"
        if abs(angle - 60) < _ANGLE_TOLERANCE_DEG:
            return "hexagonal"
    return "oblique"


def _group(
    vectors: NDArray[np.float64],
    strength: NDArray[np.float64],
    pair: tuple[int, int],
    constant: float | None,
) -> tuple[float, tuple[int, ...], Symmetry]:
    """Score a pair of peaks as a lattice, with the third peak of a hexagonal one."""
    first, second = vectors[list(pair)]
    symmetry = symmetry_of(first, second)
    members: tuple[int, ...] = pair
    score = 1.0
    if symmetry == "hexagonal":
        third = first - second if first @ second > 0 else first + second
        at, away = _nearest(vectors, third)
        if away < _SUM_TOLERANCE:
            members = (*pair, at)
            score = 1.5
    elif symmetry == "oblique":
        # Waves of other origin make such pairs, too, but not their sum or difference.
        products = [_nearest(vectors, first + second), _nearest(vectors, first - second)]
        related = min(away for _, away in products) < _SUM_TOLERANCE
        wide = _angle_deg(first, second) > _MIN_OBLIQUE_DEG
        score *= 0.1 if related and wide else 0.0
    if constant is not None:
        area = abs(np.linalg.det(np.stack([first, second])))
        found = 2 * np.pi / np.sqrt(area / (np.sqrt(0.75) if symmetry == "hexagonal" else 1.0))
        expected = constant * (np.sqrt(0.75) if symmetry == "hexagonal" else 1.0)
        score *= float(abs(np.log(found / expected)) < _GIVEN_LENGTH_TOLERANCE)
    # A tone of pickup beside a Bragg peak is of another strength, and hardly of the right place.
    weakest, strongest = strength[list(members)].min(), strength[list(members)].max()
    score *= float(weakest * np.sqrt(weakest / strongest)) * _likeness(first, second, symmetry)
    return score, members, symmetry


def _likeness(first: NDArray[np.float64], second: NDArray[np.float64], symmetry: Symmetry) -> float:
    """Return 1 for vectors of equal length at the lattice's angle, less for others."""
    if symmetry == "oblique":
        return 1.0
    lengths = np.log(np.linalg.norm(first) / np.linalg.norm(second)) / _LENGTH_TOLERANCE
    angle = _angle_deg(first, second) - (90.0 if symmetry == "square" else 60.0)
    return float(np.exp(-(lengths**2) - (angle / _ANGLE_TOLERANCE_DEG) ** 2))


def _nearest(vectors: NDArray[np.float64], wanted: NDArray[np.float64]) -> tuple[int, float]:
    """Return the peak next to a vector of either sign, and how far in units of its length."""
    away = np.minimum(
        np.linalg.norm(vectors - wanted, axis=1), np.linalg.norm(vectors + wanted, axis=1)
    )
    return int(away.argmin()), float(away.min() / np.linalg.norm(wanted))


def _angle_deg(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the angle between two lines, 0 to 90 degrees."""
    cosine = abs(first @ second) / (np.linalg.norm(first) * np.linalg.norm(second))
    return float(np.degrees(np.arccos(min(float(cosine), 1.0))))
