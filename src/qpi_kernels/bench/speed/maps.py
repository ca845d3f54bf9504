"""Maps and stacks whose extraction is timed, with the seconds that are meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from qpi_kernels.bench.speed.foreign_kernels import FOREIGN_FAMILIES
from qpi_kernels.bench.speed.problems import (
    NoiseName,
    Task,
    blind_map,
    coloured_map,
    family_map,
    foreign_map,
    grid_sample,
    ring_stack,
)
from qpi_kernels.bench.speed.report import ExtractionRow, SpeedRow
from qpi_kernels.bench.speed.yardsticks import time_extraction

__all__ = ["MapRow", "map_rows", "stack_rows"]

_LISTED = ("free_electrons", "warped_four_fold", "graphene_site")
# 42 kernels that the library lacks, twelve of them under coloured noise.
_SEEDS, _COLOURED_SEEDS = 5, 2
_BLIND_MAPS = 3
# A stack takes at most this share of its maps, one at a time.
_STACK_LIMIT = 0.35


@dataclass(frozen=True)
class MapRow:
    """Maps that make one row.

    Parameters
    ----------
    name : str
        What is extracted.
    make : sequence of callable
        One function for each map.
    aim_s, worst_aim_s : float, optional
        Seconds that are meant in the median and in the worst of the maps, on two quiet cores.
    repeats : int
        Timed runs of each map.
    """

    name: str
    make: Iterable[Callable[[], Task]]
    aim_s: float | None = None
    worst_aim_s: float | None = None
    repeats: int = 3

    def measure(self) -> ExtractionRow:
        """Time the extraction of all maps."""
        runs = [time_extraction(make(), repeats=self.repeats) for make in self.make]
        return ExtractionRow(
            name=self.name, aim_s=self.aim_s, worst_aim_s=self.worst_aim_s, runs=runs
        )


def map_rows(quick: bool) -> Iterator[MapRow]:
    """List single maps, samples and blind maps.

    Parameters
    ----------
    quick : bool
        Tiny maps, one of each kind.
    """
    size = (48, 15, 8) if quick else (256, 64, 30)
    seeds = range(1 if quick else _SEEDS)
    listed = _LISTED[:1] if quick else _LISTED
    yield MapRow(
        "one map, a listed family", [partial(family_map, *size, family=one) for one in listed], 1.5
    )
    yield from _foreign_rows(size, seeds, "white")
    yield from _foreign_rows(size, seeds[:_COLOURED_SEEDS], "coloured")
    yield MapRow(
        "bundled sample of a grid, 21 biases, window 35",
        [partial(grid_sample, 1 if quick else 21)],
        8.0,
    )
    larger = (64, 19, 12) if quick else (512, 97, 60)
    yield MapRow(
        f"{larger[0]} px, window {larger[1]}, coloured noise", [partial(coloured_map, *larger)], 8.0
    )
    yield MapRow(
        "least_squares, one map", [lambda: family_map(*size).asked(method="least_squares")], 0.1
    )
    biases = 3 if quick else 100
    yield MapRow(
        f"least_squares, {biases} biases",
        [lambda: ring_stack(*size, biases).asked(method="least_squares")],
    )
    sparse = (48, 11, 5) if quick else (128, 31, 16)
    seeds = range(1 if quick else _BLIND_MAPS)
    yield MapRow(
        f"blind, {sparse[0]} px, window {sparse[1]}, {sparse[2]} defects",
        [partial(blind_map, *sparse, seed=seed) for seed in seeds],
        4.0,
    )
    yield MapRow("one map, a random mask over half of it", [partial(_half_masked, *size)], 3.0)
    sides = (32, 48, 64) if quick else (128, 256, 512, 1024)
    for side in sides:
        count = max(round(size[2] * (side / size[0]) ** 2), 1)
        yield MapRow(
            f"{side} px, window {size[1]}, {count} defects",
            [partial(family_map, side, size[1], count)],
            12.0 if side == 1024 else None,
        )


def _foreign_rows(
    size: tuple[int, int, int], seeds: Iterable[int], noise: NoiseName
) -> Iterator[MapRow]:
    """List maps of families that the library lacks, a row for each."""
    for family in FOREIGN_FAMILIES:
        maps = [partial(foreign_map, family, seed, *size, noise) for seed in seeds]
        name = f"no listed family: {family}, {noise} noise"
        # Their first run already has the library in its window.
        yield MapRow(name, maps, 1.5, 3.0, repeats=1)


def stack_rows(quick: bool) -> Iterator[tuple[str, Callable[[], list[ExtractionRow | SpeedRow]]]]:
    """List stacks that are compared with their maps, one at a time.

    Parameters
    ----------
    quick : bool
        Tiny maps, two biases.

    Yields
    ------
    str
        Name.
    callable
        Measures its rows.
    """
    size = (48, 15, 8) if quick else (256, 64, 30)
    biases = 2 if quick else 8
    for noise, words in (("own", "noise of its own in each"), ("shared", "noise shared by them")):
        name = f"{biases} biases, {words}"
        yield name, partial(_stack_measured, name, partial(ring_stack, *size, biases, noise))  # type: ignore[arg-type]


def _stack_measured(name: str, make: Callable[[], Task]) -> list[ExtractionRow | SpeedRow]:
    """Time a stack, and its maps one at a time."""
    stack = make()
    whole = time_extraction(stack, repeats=1)
    alone = [time_extraction(one, repeats=1).seconds for one in stack.alone()]
    return [
        ExtractionRow(name=name, aim_s=_STACK_LIMIT * sum(alone), runs=[whole]),
        SpeedRow(
            claim=f"bayes of {name} / its maps one at a time",
            measured=whole.seconds / sum(alone),
            limit=_STACK_LIMIT,
            detail=f"{whole.seconds:.2f} s / {sum(alone):.2f} s",
        ),
    ]


def _half_masked(side: int, window: int, count: int) -> Task:
    """Mask pixels at random, half of them."""
    mask = np.random.default_rng(3).random((side, side)) > 0.5
    return family_map(side, window, count).asked(mask=mask)
