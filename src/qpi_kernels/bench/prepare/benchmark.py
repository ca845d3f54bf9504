"""`napari-qpi bench prepare`: the preparation beside other programs, on maps with known truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from qpi_kernels.bench.peer_bench import PeerBench, time_in_turns
from qpi_kernels.bench.peer_report import PeerReport, PeerRow, PeerScore
from qpi_kernels.bench.peers import Array, Way
from qpi_kernels.bench.prepare.gwyddion_peer import gwyddion_ways
from qpi_kernels.bench.prepare.own import OWN, own_ways, plain_ways
from qpi_kernels.bench.prepare.problems import Lattice, Task, drift_map, step_map, tone_map
from qpi_kernels.bench.prepare.scores import drift_error, row_error, step_error, tone_changes
from qpi_kernels.bench.prepare.spiepy_peer import spiepy_ways
from qpi_kernels.bench.prepare.stmpy_peer import stmpy_ways
from qpi_kernels.progress import Event

__all__ = ["PrepareBench"]

_SIDE, _QUICK_SIDE, _TIMED_SIDE = 256, 96, 512
_REPEATS = 3
_LATTICES: tuple[Lattice, ...] = ("square", "hexagonal")
_ANGLES = (0, 30, 45, 90)
_ROWS_NM, _FEW_ROWS_NM = 0.05, 0.02
_ERRORS: dict[Task, str] = {
    "drift": "residual drift, px rms",
    "rows": "row error, % of the offsets' rms",
    "step": "error of the step's height, %",
    "tone": "tone left, % of the map's rms",
}
_CHANGED = "map changed besides, % of its rms"


@dataclass(frozen=True)
class _Cell:
    """The maps of one row, made when asked for, and the errors of a result."""

    task: Task
    maps: str
    make: Callable[[int], Any]
    errors: Callable[[Any, Array], Sequence[float]]


class PrepareBench(PeerBench[PeerReport]):
    """Run every way of every program on maps with known truth, one way a step.

    Parameters
    ----------
    seeds : int
        Maps of each row.
    quick : bool
        One small map of each row: shows that it runs, and nothing about the programs.
    peers : bool
        Compare with other programs, not only with plain numpy.
    """

    def __init__(self, *, seeds: int = 5, quick: bool = False, peers: bool = True) -> None:
        own = [*own_ways(), *plain_ways()]
        super().__init__(PeerReport, OWN, own, seeds=seeds, quick=quick)
        for ways in (stmpy_ways, spiepy_ways, gwyddion_ways) if peers else ():
            self._ways += self._here(ways) or []

    def _run(self) -> Generator[Event, None, PeerReport]:
        """Measure the rows of every cell, then the times."""
        cells = list(_quick_cells() if self._quick else _cells(_SIDE))
        rows = []
        for number, cell in enumerate(cells):
            yield Event(f"{_ERRORS[cell.task]}: {cell.maps}", number, len(cells) + len(_ERRORS))
            rows += self._measure(cell)
        for number, task in enumerate(_ERRORS):
            yield Event(f"Timing: {task}", len(cells) + number, len(cells) + len(_ERRORS))
            rows.append(self._time(task, rows))
        return self._report(rows)

    def _measure(self, cell: _Cell) -> list[PeerRow]:
        """Measure all errors of all ways on the maps of a cell."""
        problems = [cell.make(seed) for seed in self._seeds]
        names = [_ERRORS[cell.task], *([_CHANGED] if cell.task == "tone" else [])]
        rows = [
            PeerRow(task=cell.task, maps=cell.maps, error=name, count=len(problems), scores=[])
            for name in names
        ]
        for way in self._ways_of(cell.task):
            errors = np.array([_errors(way, cell, problem, len(names)) for problem in problems])
            for row, values in zip(rows, errors.T, strict=True):
                row.scores.append(PeerScore.of(way.tool, way.name, values))
        return rows

    def _time(self, task: Task, rows: list[PeerRow]) -> PeerRow:
        """Time the way of each program that was best on most maps, in turns."""
        side = _QUICK_SIDE if self._quick else _TIMED_SIDE
        raw = _timed_map(task, side)
        ways = [_best(self._ways_of(task), tool, rows, task) for tool in self._tools(task)]
        jobs = [partial(way.whole or way.apply, raw) for way in ways]
        times = time_in_turns(jobs, 1 if self._quick else _REPEATS, time.perf_counter)
        return PeerRow(
            task=task,
            maps=f"{side} x {side}",
            error=f"seconds for {task}",
            count=1,
            scores=[
                PeerScore.of(way.tool, way.name, seconds)
                for way, seconds in zip(ways, times, strict=True)
            ],
        )

    def _ways_of(self, task: Task) -> list[Way]:
        return [way for way in self._ways if way.task == task]

    def _tools(self, task: Task) -> list[str]:
        return list(dict.fromkeys(way.tool for way in self._ways_of(task) if way.name != "nothing"))


def _cells(side: int) -> Iterable[_Cell]:
    """List the rows' maps: even, odd and not square lattices, rows, steps and a tone."""
    shapes = ((side, side), (side - 1, side - 1), (side, side * 3 // 4))
    for lattice, snr, shape in product(_LATTICES, (1, 10), shapes):
        yield _Cell(
            "drift",
            f"{lattice}, SNR {snr}, {shape[0]} x {shape[1]}",
            partial(drift_map, lattice, shape, snr),
            lambda problem, made: (drift_error(problem, made),),
        )
    for angle in (None, 45):
        yield _Cell(
            "rows",
            "no step" if angle is None else f"a step at {angle} degrees",
            partial(step_map, angle, _ROWS_NM, shapes[0]),
            lambda problem, made: (row_error(problem, made),),
        )
    for rows_nm, angle in product((0.0, _FEW_ROWS_NM), _ANGLES):
        yield _Cell(
            "step",
            f"{angle} degrees from the rows{', row offsets' if rows_nm else ''}",
            partial(step_map, angle, rows_nm, shapes[0]),
            lambda problem, made: (step_error(problem, made),),
        )
    yield _Cell("tone", "between the points of the FFT", partial(tone_map, shapes[0]), tone_changes)


def _quick_cells() -> Iterable[_Cell]:
    """List the rows of a quick run: of drift, only the maps that are not square."""
    cells = list(_cells(_QUICK_SIDE))
    drift = [cell for cell in cells if cell.task == "drift"]
    return [*drift[2::3], *(cell for cell in cells if cell.task != "drift")]


def _timed_map(task: Task, side: int) -> Array:
    """Make the raw map that a task is timed on."""
    shape, seed = (side, side), 0
    if task == "drift":
        return drift_map("square", shape, 10, seed).raw
    if task == "tone":
        return tone_map(shape, seed).raw
    return step_map(45, _ROWS_NM, shape, seed).raw


def _errors(way: Way, cell: _Cell, problem: Any, count: int) -> Sequence[float]:
    """Measure a way on a map; NaN where it fails."""
    try:
        return cell.errors(problem, way.apply(problem.raw))
    except Exception:  # a program that stops has failed on this map, and the others go on
        return [np.nan] * count


def _best(ways: list[Way], tool: str, rows: list[PeerRow], task: Task) -> Way:
    """Choose the way of a program that is best in most rows of a task."""
    own = [way for way in ways if way.tool == tool and way.name != "nothing"]
    best = [row.best(tool) for row in rows if row.task == task]
    names = [one.way for one in best if one is not None]
    return max(own, key=lambda way: names.count(way.name))
