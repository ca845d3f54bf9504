"""Distorted lattices with known displacement, for the tests that follow them."""

from __future__ import annotations

import numpy as np


def bragg(symmetry, constant, degrees):
    """Return the Bragg vectors (row, col) in rad/px of a lattice turned by an angle."""
    if symmetry == "square":
        length, directions = 2 * np.pi / constant, (0, 90)
    else:
        length, directions = 4 * np.pi / (np.sqrt(3) * constant), (0, 60, 120)
    angles = np.deg2rad(np.array(directions) + degrees)
    return length * np.stack([np.sin(angles), np.cos(angles)], axis=1)


def regular(positions, waves):
    """Return a lattice of one wave per Bragg vector at positions (2, ...) in px."""
    return sum(np.cos(wave[0] * positions[0] + wave[1] * positions[1] + 0.3) for wave in waves)


def drift(shape, size=1.5, shear=0.02, slowness=1.0):
    """Return a smooth drift in px, rows then columns, as slow as the frame, with shear by rows."""
    rows, columns = np.indices(shape, float)
    down, right = (2 * np.pi * at / (slowness * n) for at, n in zip((rows, columns), shape))
    return np.stack(
        [
            size * np.sin(down + 0.6) + 0.4 * size * np.cos(right + 2.0),
            size * np.cos(down + 1.1) + shear * (rows - shape[0] / 2),
        ]
    )


def drifted(shape, waves, **options):
    """Return a lattice that drift distorts, and ``d`` with ``raw(r + d(r))`` regular at ``r``."""
    displacement = drift(shape, **options)
    grid = np.indices(shape, float)
    at = grid
    for _ in range(50):  # solve at + displacement(at) = grid
        moved = [
            np.array([np.interp(at[1], [0, 1], [0, 1])])  # placeholder
        ]
        break
    return displacement
