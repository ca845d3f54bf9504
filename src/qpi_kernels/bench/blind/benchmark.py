"""The benchmark of blind extraction: kinds, defects and kernels of maps whose truth is known."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from qpi_kernels.bench.blind.problems import (
    BLIND_CASES,
    BlindProblem,
    blind_problem,
    shift_corrected,
)
from qpi_kernels.bench.blind.report import BlindReport, BlindRow
from qpi_kernels.bench.group_bench import GroupBench
from qpi_kernels.bench.machine import describe_machine
from qpi_kernels.defects import Defects
from qpi_kernels.extraction import ExtractionError, start_extraction
from qpi_kernels.progress import Event, follow
from qpi_kernels.simulate.scan import samples

__all__ = ["GROUPS", "BlindBench", "coloured_problem"]

GROUPS = ("dense", "pairs", "coloured", "samples", "turned")
_MAPS, _TURNED_MAPS = 20, 10
_WINDOWS = (32, 64)
_FALSE_PX = 2.0
_COLOURED_NOISE, _SMOOTHING_PX = 0.1, (1.5, 3.0)


@dataclass(frozen=True, eq=False)
class _Map:
    """A map to be searched: its group, its name, the truth, and the window."""

    group: str
    name: str
    observation: NDArray[np.floating]
    kernels: NDArray[np.floating]
    defects: Defects


class BlindBench(GroupBench[_Map, BlindRow]):
    """Search maps blindly and compare with the truth, as a stepper.

    Parameters
    ----------
    groups : sequence of str
        Of `GROUPS`: dense maps of one kind under noise, pairs of kinds, coloured noise, the
        sample of Ag(111) with two windows, and maps in all eight orientations.
    quick : bool
        One map of each group.
    report_path : Path, optional
        Where the report is written, anew after each map.
    """

    def __init__(
        self,
        groups: Sequence[str] = GROUPS,
        *,
        quick: bool = False,
        report_path: Path | None = None,
    ) -> None:
        super().__init__(
            BlindReport(machine=describe_machine("cpu"), quick=quick),
            {group: _maps(group, quick) for group in groups},
            _searched,
            report_path,
        )


def _maps(group: str, quick: bool) -> Iterator[_Map]:
    """Make the maps of a group, one after the other."""
    if group == "samples":
        yield from _samples(quick)
        return
    for seed in range(1 if quick else _TURNED_MAPS if group == "turned" else _MAPS):
        if group == "dense":
            problem = blind_problem(BLIND_CASES["published"], seed=seed)
        elif group == "coloured":
            problem = coloured_problem(seed)
        else:
            name = "both signs" if seed % 2 else "two kinds"
            problem = blind_problem(BLIND_CASES[name], seed=seed)
        one = _Map(group, f"seed {seed}", problem.observation, problem.kernels, problem.defects)
        yield from _turned(one) if group == "turned" else [one]


def coloured_problem(seed: int) -> BlindProblem:
    """Simulate a map of one kind with noise that moves together over some pixels."""
    problem = blind_problem(replace(BLIND_CASES["sparse"], noise_of_peak=1e-6), seed=seed)
    random = np.random.default_rng(seed)
    smoothing = _SMOOTHING_PX[seed % len(_SMOOTHING_PX)]
    noise = scipy.ndimage.gaussian_filter(
        random.standard_normal(problem.observation.shape), smoothing
    )
    noise *= _COLOURED_NOISE / noise.std()
    return replace(problem, observation=problem.observation + noise, noise=_COLOURED_NOISE)


def _samples(quick: bool) -> Iterator[_Map]:
    """Cut the true kernel of the sample of Ag(111) to each window."""
    scan = samples.ag111_map()
    true = scan["kernel_true"].values
    middle = len(true) // 2
    defects = Defects(scan["defect_position"].values)
    for window in _WINDOWS[:1] if quick else _WINDOWS:
        cut = slice(middle - window // 2, middle - window // 2 + window)
        yield _Map(
            "samples", f"Ag(111), {window} px", scan["didv"].values, true[None, cut, cut], defects
        )


def _turned(one: _Map) -> Iterator[_Map]:
    """Turn and flip a map with all that is known of it into its eight orientations."""
    for flipped in (False, True):
        for turns in range(4):
            observation, kernels = (
                np.rot90(images[..., ::-1] if flipped else images, turns, (-2, -1))
                for images in (one.observation, one.kernels)
            )
            last = len(one.observation) - 1
            rows, cols = one.defects.positions.T
            cols = last - cols if flipped else cols
            for _ in range(turns):
                rows, cols = last - cols, rows
            defects = one.defects.moved(np.stack([rows, cols], axis=1))
            name = f"{one.name}, {'flipped, ' * flipped}turned {90 * turns} degrees"
            yield replace(one, name=name, observation=observation, kernels=kernels, defects=defects)


def _searched(one: _Map) -> Generator[Event, None, BlindRow]:
    """Search a map, and compare with the truth."""
    shape = one.kernels.shape[-2:]
    work = start_extraction(one.observation, None, kernel_shape=shape, method="blind")
    started = time.process_time()
    found, kernels = Defects(np.zeros((0, 2))), np.zeros((0, *shape))
    try:
        result = yield from follow(work)
        found, kernels = result.defects, result.kernel.values.reshape(-1, *shape)
    except ExtractionError:
        pass  # Nothing was found, which the row says.
    seconds = time.process_time() - started
    distances = cKDTree(one.defects.positions).query(found.positions)[0] if len(found) else 0.0
    scores = [
        max((shift_corrected(true, kernel)[0] for kernel in kernels), default=0.0)
        for true in one.kernels
    ]
    return BlindRow(
        group=one.group,
        name=one.name,
        true_kinds=len(one.kernels),
        found_kinds=len(kernels),
        true_defects=len(one.defects),
        found_defects=len(found),
        false_defects=int(np.sum(distances > _FALSE_PX)),
        correlation=min(scores),
        seconds=seconds,
    )
