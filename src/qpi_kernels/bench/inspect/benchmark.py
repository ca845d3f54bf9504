"""`napari-qpi bench inspect`: transforms, profiles and cuts beside other programs."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from pydantic import Field

from qpi_kernels import inspect
from qpi_kernels.bench.inspect.agreement import Agreement, agreements
from qpi_kernels.bench.inspect.own import OWN, image_of, own_ways, plain_ways
from qpi_kernels.bench.inspect.problems import (
    Task,
    correlation_map,
    cut_map,
    lattice_map,
    noise_map,
    ring_map,
    round_map,
    symmetric_map,
    wave_map,
)
from qpi_kernels.bench.inspect.scores import ERRORS, measured_error
from qpi_kernels.bench.inspect.stmpy_peer import Stmpy, stmpy_ways
from qpi_kernels.bench.peer_bench import PeerBench, time_in_turns
from qpi_kernels.bench.peer_report import PeerReport, PeerRow, PeerScore
from qpi_kernels.progress import Event

__all__ = ["InspectBench", "InspectReport"]

_SIDE, _QUICK_SIDE = 256, 64
_PLANES, _QUICK_PLANES = 51, 3
_REPEATS = 3


class InspectReport(PeerReport):
    """All rows, and what is the same there."""

    agreements: list[Agreement] = Field(description="the same numbers, or why they differ")


@dataclass(frozen=True)
class _Cell:
    """The images of one row, made when asked for."""

    task: Task
    maps: str
    make: Callable[[int], Any]


class InspectBench(PeerBench[InspectReport]):
    """Run every way of every program on images with known truth, one row a step.

    Parameters
    ----------
    seeds : int
        Images of each row.
    quick : bool
        One small image of each row: shows that it runs, and nothing about the programs.
    peers : bool
        Compare with other programs, not only with plain numpy.
    """

    def __init__(self, *, seeds: int = 5, quick: bool = False, peers: bool = True) -> None:
        own = [*own_ways(), *plain_ways()]
        super().__init__(InspectReport, OWN, own, seeds=seeds, quick=quick)
        self._stmpy = self._here(Stmpy) if peers else None
        if self._stmpy is None:
            return
        self._ways += stmpy_ways(self._stmpy)
        if not self._stmpy.cuts:
            self._missing.append(
                f"cuts and arcs of stmpy: pip install 'numpy<2.4' (numpy {np.__version__} is here)"
            )

    def _run(self) -> Generator[Event, None, InspectReport]:
        """Measure the rows, then what is the same, then the times."""
        side = _QUICK_SIDE if self._quick else _SIDE
        cells = list(_cells(side))
        rows = []
        for number, cell in enumerate(cells):
            yield Event(f"{ERRORS[cell.task]}: {cell.maps}", number, len(cells) + 2)
            rows.append(self._measure(cell))
        yield Event("The same numbers", len(cells), len(cells) + 2)
        same = [] if self._stmpy is None else list(agreements(self._stmpy))
        yield Event("Timing", len(cells) + 1, len(cells) + 2)
        rows += self._times(side)
        return self._report(rows, agreements=same)

    def _measure(self, cell: _Cell) -> PeerRow:
        """Measure the error of all ways on the images of a row."""
        problems = [cell.make(seed) for seed in self._seeds]
        scores = [
            PeerScore.of(way.tool, way.name, [measured_error(way, one) for one in problems])
            for way in self._ways
            if way.task == cell.task
        ]
        error = ERRORS[cell.task]
        return PeerRow(
            task=cell.task, maps=cell.maps, error=error, count=len(problems), scores=scores
        )

    def _times(self, side: int) -> list[PeerRow]:
        """Time a cut through a cube, its transform and a profile, the programs in turns.

        Seconds of one core, of which another program on the machine takes nothing.
        """
        planes = _QUICK_PLANES if self._quick else _PLANES
        cube = np.random.default_rng(31).standard_normal((planes, side, side))
        image, middle = image_of(cube), side // 2
        near, far = (0.1 * side, 0.2 * side), (0.8 * side, 0.9 * side)
        radius = np.arange(middle - 1, dtype=float)
        jobs: list[tuple[str, str, str, Callable[[], object]]] = [
            ("cut", OWN, "cut_stack", lambda: inspect.cut_stack(image, near, far, width=4)),
            ("transform", OWN, "fourier", lambda: inspect.fourier(image)),
            ("profile", OWN, "radial_profile", lambda: inspect.radial_profile(image[0])),
        ]
        stmpy = self._stmpy
        if stmpy is not None:
            name = stmpy.name
            jobs.append(("transform", name, "fft", lambda: stmpy.fft(cube, "hanning", zeroDC=True)))
        if stmpy is not None and stmpy.cuts:
            ends = near[::-1], far[::-1]
            jobs += [
                ("cut", name, "linecut", lambda: stmpy.linecut(cube, *ends, width=4)),
                (
                    "profile",
                    name,
                    "azimuthalAverage",
                    lambda: stmpy.azimuthalAverage(cube[0], middle, middle, radius),
                ),
            ]
        calls = [job for *_, job in jobs]
        if not self._quick:
            # The first round loads libraries.
            time_in_turns(calls, 1, time.process_time)
        times = time_in_turns(calls, 1 if self._quick else _REPEATS, time.process_time)
        maps = {
            "cut": f"{planes} x {side} x {side}, 4 px wide",
            "transform": f"{planes} x {side} x {side}",
            "profile": f"{side} x {side}",
        }
        return [
            PeerRow(
                task=task,
                maps=maps[task],
                error=f"CPU seconds for a {task}",
                count=1,
                scores=[
                    PeerScore.of(tool, way, seconds)
                    for (kind, tool, way, _), seconds in zip(jobs, times, strict=True)
                    if kind == task
                ],
            )
            for task in maps
        ]


def _cells(side: int) -> Iterable[_Cell]:
    """List the rows' images."""
    even, odd, tall = (side, side), (side - 1, side - 1), (side, side * 3 // 4)
    tasks: tuple[Task, ...] = ("amplitude", "wave")
    for task in tasks:
        for on_grid, words in ((True, "on a point of the transform"), (False, "anywhere")):
            yield _Cell(task, words, partial(wave_map, even, on_grid))
    yield _Cell("noise", "white noise", partial(noise_map, even))
    for shape in (even, tall):
        size = f"{shape[0]} x {shape[1]}"
        yield _Cell("cut", f"a wave of 8 px, {size}", partial(cut_map, shape))
    yield _Cell("round", "standing wave of one defect", partial(round_map, even))
    yield _Cell("ring", "25 defects, SNR 1", partial(ring_map, even))
    for holes, words in ((False, "a wave with noise"), (True, "a wave with noise and a hole")):
        yield _Cell("correlation", words, partial(correlation_map, even, holes))
    for shape in (even, odd):
        size = f"{shape[0]} x {shape[1]}"
        yield _Cell("symmetry", f"ring with four spots, {size}", partial(symmetric_map, shape))
    for hexagonal, words in ((False, "square"), (True, "hexagonal")):
        yield _Cell("lattice", f"{words}, SNR 1", partial(lattice_map, even, hexagonal))
