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


def drift(positions, shape, *, size=1.5, shear=0.02):
    """Return a drift in px, rows then columns, as slow as the frame, with shear of the rows."""
    down, right = (2 * np.pi * at / n for at, n in zip(positions, shape, strict=True))
    return np.stack(
        [
            size * np.sin(down + 0.6) + 0.4 * size * np.cos(right + 2.0),
            size * np.cos(down + 1.1) + shear * (positions[0] - shape[0] / 2),
        ]
    )


def drifted(shape, waves, *, snr=None, seed=0, **options):
    """Return a lattice that drift distorts, and ``d`` with ``raw(r + d(r))`` regular at ``r``."""
    grid = np.indices(shape, float)
    at = grid
    for _ in range(50):
        at = grid - drift(at, shape, **options)
    raw = regular(at, waves)
    if snr is not None:
        raw = raw + np.random.default_rng(seed).normal(size=shape) / snr
    return raw, drift(grid, shape, **options)


def rms_error(found, truth, margin, *, slopes=True, where=None):
    """Return the rms error in px of a displacement within a margin, but for its mean (and slope).

    A lattice of unknown constants tells neither.
    """
    shape = truth.shape[1:]
    inside = np.zeros(shape, bool)
    inside[margin : shape[0] - margin, margin : shape[1] - margin] = True
    inside &= np.isfinite(found).all(axis=0) & (True if where is None else where)
    rows, columns = np.nonzero(inside)
    terms = [np.ones(rows.size), rows, columns] if slopes else [np.ones(rows.size)]
    free = np.stack(terms, axis=1)
    error = (found - truth)[:, inside].T
    error = error - free @ np.linalg.lstsq(free, error, rcond=None)[0]
    return float(np.sqrt((error**2).sum(axis=1).mean()))
