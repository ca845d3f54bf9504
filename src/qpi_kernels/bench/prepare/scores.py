"""Errors of prepared maps, the same for every program."""

from __future__ import annotations

import numpy as np

from qpi_kernels.bench.peers import Array
from qpi_kernels.bench.prepare.own import without_plane
from qpi_kernels.bench.prepare.problems import DriftMap, StepMap, ToneMap

__all__ = ["EDGE_SHARE", "drift_error", "row_error", "step_error", "tone_changes"]

EDGE_SHARE = 1 / 12
"""Share of the frame that is left out at each edge, of every program alike."""
_EDGE_PX = 6.0


def _inner(shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Leave out the margin."""
    first, second = (slice(round(n * EDGE_SHARE), n - round(n * EDGE_SHARE)) for n in shape)
    return first, second


def drift_error(problem: DriftMap, displacement: Array) -> float:
    """Measure the residual drift in px rms.

    Pixel r of the result shows the raw map at s = r + u(r), which is the ideal lattice at
    s - drift(s); of a corrected map that is an affine map of r. Which one is the choice of a
    target lattice, so the nearest is taken off.

    Parameters
    ----------
    problem : DriftMap
        With the true drift.
    displacement : array, (2, y, x)
        u in px, rows then columns.
    """
    shape = displacement.shape[1:]
    inner = _inner(shape)
    points = np.indices(shape).astype(float)
    shown = points + displacement
    ideal = (shown - problem.drift(shown))[:, *inner].reshape(2, -1)
    used = np.isfinite(ideal).all(axis=0)
    grid = points[:, *inner].reshape(2, -1)[:, used]
    design = np.vstack([np.ones(grid.shape[1]), grid]).T
    residual = ideal[:, used].T - design @ np.linalg.lstsq(design, ideal[:, used].T, rcond=None)[0]
    return float(np.sqrt((residual**2).sum(axis=1).mean()))


def row_error(problem: StepMap, made: Array) -> float:
    """Measure what is wrong after rows were aligned, in % of the rms of their offsets.

    The map before the offsets came is subtracted, noise included, and a plane, for a tilt along
    the slow axis looks like offsets.
    """
    wrong = without_plane(made - problem.without_rows)
    return float(100 * wrong.std() / problem.rows_nm)


def step_error(problem: StepMap, made: Array) -> float:
    """Measure the error of the step's height in %, by the medians of both terraces."""
    upper, lower = (
        np.median(made[problem.flat & (sign * problem.distance_px > _EDGE_PX)]) for sign in (-1, 1)
    )
    return float(100 * abs(upper - lower - problem.height_nm) / problem.height_nm)


def tone_changes(problem: ToneMap, made: Array) -> tuple[float, float]:
    """Measure what is left of the tone, and what changed besides, in % of the map's rms.

    Returns
    -------
    left, changed : float
        Rms of the tone that fits the error best, and of the rest of the error; the mean is not
        counted.
    """
    wrong = made - problem.clean
    wrong = wrong - wrong.mean()
    y, x = np.indices(wrong.shape)
    phase = problem.wave[0] * y + problem.wave[1] * x
    design = np.stack([np.cos(phase).ravel(), np.sin(phase).ravel()], axis=1)
    left = design @ np.linalg.lstsq(design, wrong.ravel(), rcond=None)[0]
    scale = 100 / problem.clean.std()
    return float(scale * left.std()), float(scale * (wrong.ravel() - left).std())
