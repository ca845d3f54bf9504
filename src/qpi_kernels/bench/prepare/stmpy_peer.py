"""stmpy: drift by phase maps, rows by polynomials, tones by a mask of the transform."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any, Literal

import numpy as np
from scipy import ndimage

from qpi_kernels.bench.peers import Array, Way, import_peer
from qpi_kernels.bench.prepare.problems import Task
from qpi_kernels.bench.prepare.stmpy_drift import StmpyDrift

__all__ = ["stmpy_ways"]

_WINDOWS: tuple[tuple[Literal["lockin", "convolution"], float], ...] = (
    *(("lockin", 3), ("lockin", 5), ("lockin", 10)),
    *(("convolution", 6), ("convolution", 12), ("convolution", 24)),
)
_PEAKS: tuple[Literal["regular", "found", "centred"], ...] = ("regular", "found", "centred")
_NOTCH_PX = 3


def stmpy_ways() -> list[Way]:
    """List stmpy's ways to do each task.

    Drift is corrected with three choices of the peaks and three widths of both windows; each with
    both signs, for the sign is the user's to check. Errors as for `import_peer`.
    """
    tool, drift, tools = import_peer(
        "stmpy", "pip install getstmpy 'numpy<2.4'", "getstmpy", "stmpy.driftcorr", "stmpy.tools"
    )

    def way(task: Task, name: str, apply: Callable[[Array], Any]) -> Way:
        return Way(tool, name, task, partial(_quietly, apply))

    ways = []
    for (method, sigma), peaks, sign in product(_WINDOWS, _PEAKS, (1, -1)):
        one = StmpyDrift(drift, method, sigma, peaks, sign)
        corrected = partial(_quietly, one.corrected)
        ways.append(Way(tool, one.name, "drift", partial(_quietly, one.displacement), corrected))
    for task, degree, masked in product(("rows", "step"), (0, 1), (False, True)):
        lines = partial(tools.lineSubtract, n=degree, maskon=masked)
        name = f"lineSubtract(n={degree}{', maskon=True' if masked else ''})"
        ways.append(way("rows" if task == "rows" else "step", name, lines))
    return [
        *ways,
        way("step", "plane_subtract(1), its scale put back", partial(_plane, tools)),
        way("tone", f"fourier_filter(sigma={_NOTCH_PX})", partial(_without_tone, tools)),
    ]


def _quietly(work: Callable[[Array], Any], raw: Array) -> Array:
    """Call what prints and warns much."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        return np.asarray(work(raw))


def _plane(tools: Any, raw: Array) -> Array:
    """Subtract a plane; stmpy leaves the map divided by its largest value."""
    return np.asarray(tools.plane_subtract(raw, 1) * (raw - raw.mean()).max())


def _without_tone(tools: Any, raw: Array) -> Array:
    """Subtract what the filter lets through around the sharpest peak and the opposite one."""
    flat = raw - raw.mean()
    size = tools.fft(flat)
    row, column = np.unravel_index(np.argmax(size / ndimage.median_filter(size, 9)), size.shape)
    # It counts pixels from 1.
    return np.asarray(raw - tools.fourier_filter(flat, (column + 1, row + 1), _NOTCH_PX))
