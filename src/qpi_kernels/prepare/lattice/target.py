"""Target lattices: what a distorted lattice should look like."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.prepare.prepared import PreparationError

__all__ = ["Target", "linear_displacement", "target_waves"]

Target = Literal["mean", "square", "hexagonal"]

_WORST_STRETCH = 0.25
_FOLD_DEG = {"square": 90.0, "hexagonal": 60.0}


def target_waves(
    waves: NDArray[np.float64], target: Target, constant: float | None = None
) -> NDArray[np.float64]:
    """Return the Bragg vectors of the target lattice.

    Parameters
    ----------
    waves : array, (2 or 3, 2)
        Measured mean Bragg vectors (row, col), in rad/nm where the lattice constant is in nm.
    target : str
        ``mean`` keeps them. ``square`` and ``hexagonal`` make their lengths equal and their
        angles 90 and 60 degrees; the direction of the rows is kept, as drift shears.
    constant : float, optional
        Lattice constant of a square or hexagonal target; the area of the cell is kept without.

    Returns
    -------
    array, (2 or 3, 2)
        In the order of the measured ones.

    Raises
    ------
    PreparationError
        If the measured lattice is not near the target.
    """
    if target == "mean":
        return waves
    fold = np.deg2rad(_FOLD_DEG[target])
    # The nearest multiples of the target's angle, counted from the first vector.
    turns = np.arctan2(waves[:, 0], waves[:, 1])
    steps = np.round((turns - turns[0]) / fold)
    angles = steps * fold
    ideal = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    if abs(np.linalg.det(ideal[:2])) < 0.5:
        raise PreparationError(_unlike(target))
    measured = np.linalg.lstsq(ideal, waves, rcond=None)[0]
    stretch = np.linalg.svd(measured, compute_uv=False)
    off = np.linalg.norm(ideal @ measured - waves, axis=1).max() > 0.1 * stretch[1]
    if off or np.linalg.det(measured) < 0 or stretch[0] > (1 + _WORST_STRETCH) * stretch[1]:
        raise PreparationError(_unlike(target))
    # Drift moves rows against each other and hardly turns them.
    along = measured[:, 1] / np.linalg.norm(measured[:, 1])
    turned = np.stack([np.array([along[1], -along[0]]), along], axis=1)
    length = float(np.sqrt(stretch.prod()))
    if constant is not None:
        length = 2 * np.pi / (constant * np.sin(fold))
        if abs(np.log(length**2 / stretch.prod())) > 2 * _WORST_STRETCH:
            raise PreparationError(
                f"a lattice constant of {constant:g} is far from that of the image, "
                f"{2 * np.pi / (np.sqrt(stretch.prod()) * np.sin(fold)):.3g}; check both, or "
                "leave it out"
            )
    return np.asarray(length * ideal @ turned)


def linear_displacement(
    waves: NDArray[np.float64], wanted: NDArray[np.float64], displacement: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Convert a displacement from the measured mean lattice to one from the target lattice.

    Parameters
    ----------
    waves, wanted : array, (2 or 3, 2)
        Bragg vectors (row, col) in rad/px of the mean and of the target lattice.
    displacement : array, (2, y, x)
        From the mean lattice, in px.

    Returns
    -------
    array, (2, y, x)
        From the target lattice, zero on average.
    """
    # Q (r - u) = Q' (r - u'): u' = r - M (r - u), with M from Q to Q'.
    matrix = np.linalg.lstsq(wanted, waves, rcond=None)[0]
    middle = (np.array(displacement.shape[1:]) - 1) / 2
    away = np.indices(displacement.shape[1:], float) - middle[:, None, None]
    return np.asarray(away - np.tensordot(matrix, away - displacement, 1))


def _unlike(target: str) -> str:
    return (
        f"the Bragg peaks found are not those of a {target} lattice, even if it is sheared; "
        'choose another target, "mean" serves all'
    )
