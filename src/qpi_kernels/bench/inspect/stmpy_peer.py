"""stmpy: transforms, cuts, arcs, symmetrised images and Bragg peaks, as its manual calls them."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from qpi_kernels.bench.inspect.own import fourier_peak
from qpi_kernels.bench.inspect.problems import (
    CorrelationMap,
    CutMap,
    LatticeMap,
    NoisyMap,
    RoundMap,
    SymmetricMap,
    Wave,
)
from qpi_kernels.bench.peers import Array, Way, import_peer

__all__ = ["Stmpy", "stmpy_ways"]

_ANGLES = np.linspace(0, 2 * np.pi, 200, endpoint=False)


class Stmpy:
    """Its functions, called without their prints and warnings.

    ``cuts`` is False where numpy is too new for its cuts and arcs.

    Raises
    ------
    MissingPeer
        If it is not installed.
    """

    def __init__(self) -> None:
        self.name, self._tools, self._drift = import_peer(
            "stmpy",
            "pip install getstmpy 'numpy<2.4'",
            "getstmpy",
            "stmpy.tools",
            "stmpy.driftcorr",
        )
        # It assigns arrays of one number as numbers, which numpy 2.4 refuses.
        self.cuts = tuple(map(int, np.__version__.split(".")[:2])) < (2, 4)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a quiet function of its tools, or of its drift correction."""
        module = self._tools if hasattr(self._tools, name) else self._drift
        function = getattr(module, name)

        def quiet(*arguments: Any, **options: Any) -> Any:
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                return function(*arguments, **options)

        return quiet


def stmpy_ways(stmpy: Stmpy) -> list[Way]:
    """List stmpy's ways to do each task, its conventions put right where a user would know.

    Its amplitude counts a wave at q and at -q, so it is doubled; the zero of its transform is at
    ``n // 2``.
    """
    ways: list[tuple[str, str, Callable[[Any], Any]]] = []
    for window in ("None", "hanning"):
        for task, index in (("amplitude", 0), ("wave", 1)):
            name = f'fft(window="{window}", units="amplitude", zeroDC=True), doubled'
            ways.append((task, name, _peak(stmpy, window, index)))
    for kind in ("linear", "cubic") if stmpy.cuts else ():
        ways.append(("cut", f'linecut(width=0, kind="{kind}")', _cut(stmpy, kind)))
        ways.append(("round", f'azimuthalAverage(kind="{kind}")', _round(stmpy, kind)))
    for window in ("None", "hanning") if stmpy.cuts else ():
        name = f'azimuthalAverage of fft(window="{window}", zeroDC=True)'
        ways.append(("ring", name, _ring(stmpy, window)))

    def correlation(problem: CorrelationMap) -> Array:
        return np.asarray(stmpy.xcorr(problem.raw, problem.raw))

    def symmetric(problem: SymmetricMap) -> Array:
        return np.asarray(stmpy.symmetrize(problem.raw, 4))

    def lattice(problem: LatticeMap, precise: bool) -> Array:
        shape = np.array(problem.raw.shape)
        peaks = stmpy.findBraggs(problem.raw, precise=precise)[:, ::-1]
        return np.asarray(2 * np.pi * (peaks - shape // 2) / shape)

    ways += [
        ("correlation", "xcorr", correlation),
        ("symmetry", "symmetrize(n=4)", symmetric),
        ("lattice", "findBraggs", lambda problem: lattice(problem, False)),
        ("lattice", "findBraggs(precise=True)", lambda problem: lattice(problem, True)),
    ]
    return [Way(stmpy.name, name, task, apply) for task, name, apply in ways]


def _peak(stmpy: Stmpy, window: str, index: int) -> Callable[[Wave], Array]:
    def read(problem: Wave) -> Array:
        made = stmpy.fft(problem.raw, window=window, units="amplitude", zeroDC=True)
        return np.asarray(fourier_peak(2 * made)[index])

    return read


def _cut(stmpy: Stmpy, kind: str) -> Callable[[CutMap], Array]:
    """Cut along a line whose points it counts as (x, y)."""

    def read(problem: CutMap) -> Array:
        start, stop = np.array(problem.start), np.array(problem.stop)
        ends = tuple(start[::-1]), tuple(stop[::-1])
        distance, values = stmpy.linecut(problem.raw, *ends, width=0, kind=kind)
        line = start + distance[:, None] * (stop - start) / distance[-1]
        return np.column_stack([line, values])

    return read


def _round(stmpy: Stmpy, kind: str) -> Callable[[RoundMap], Array]:
    def read(problem: RoundMap) -> Array:
        return _arcs(stmpy, problem.raw, kind)

    return read


def _ring(stmpy: Stmpy, window: str) -> Callable[[NoisyMap], Array]:
    def read(problem: NoisyMap) -> Array:
        made = stmpy.fft(problem.raw, window=window, zeroDC=True)
        profile = _arcs(stmpy, made, "linear")
        return np.asarray(profile * [2 * np.pi / max(made.shape), 1.0])

    return read


def _arcs(stmpy: Stmpy, image: Array, kind: str) -> Array:
    """Average an image on circles about ``n // 2``; (radius in px, value)."""
    height, width = image.shape
    radius = np.arange(min(height, width) // 2 - 1, dtype=float)
    made = stmpy.azimuthalAverage(image, width // 2, height // 2, radius, _ANGLES, kind=kind)
    return np.column_stack([radius, made])
