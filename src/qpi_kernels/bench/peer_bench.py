"""`PeerBench`: what benchmarks beside other programs have in common."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from typing import Any, Generic, TypeVar

from qpi_kernels.bench.peer_report import PeerReport, PeerRow
from qpi_kernels.bench.peers import MissingPeer, Way
from qpi_kernels.progress import GeneratorStepper
from qpi_kernels.train.files.card import code_version

__all__ = ["PeerBench", "time_in_turns"]

_PACKAGES = ("numpy", "scipy", "scikit-image")

Report = TypeVar("Report", bound=PeerReport)
Found = TypeVar("Found")


class PeerBench(GeneratorStepper[Report], Generic[Report]):
    """Ways of several programs to do the same tasks, compared by a stepper.

    Programs that are not installed are left out, and the report says so.

    Parameters
    ----------
    report : type of PeerReport
        What the result is.
    own : str
        The name that this program has in the rows.
    ways : iterable of Way
        Those of this program and of plain numpy.
    seeds : int
        Maps of each row.
    quick : bool
        One small map of each row: shows that it runs, and nothing about the programs.
    """

    def __init__(
        self, report: type[Report], own: str, ways: Iterable[Way], *, seeds: int, quick: bool
    ) -> None:
        self._report_type, self._own = report, own
        self._ways = list(ways)
        self._seeds = list(range(1 if quick else seeds))
        self._quick = quick
        self._missing: list[str] = []

    def _here(self, program: Callable[[], Found]) -> Found | None:
        """Call what needs another program; None, with a note, where that is not installed."""
        try:
            return program()
        except MissingPeer as error:
            self._missing.append(str(error))
            return None

    def _report(self, rows: Sequence[PeerRow], **more: Any) -> Report:
        """Assemble the report of rows, with what they were measured with."""
        return self._report_type(
            rows=list(rows),
            own=self._own,
            missing=self._missing,
            seeds=self._seeds,
            quick=self._quick,
            software=code_version(),
            versions={
                "python": platform.python_version(),
                **{name: version(name) for name in _PACKAGES},
            },
            machine=f"{platform.system()}, {platform.machine()}",
            **more,
        )


def time_in_turns(
    jobs: Sequence[Callable[[], object]], rounds: int, clock: Callable[[], float]
) -> list[list[float]]:
    """Time jobs in turns, so that a busy machine slows all alike; return seconds of each."""
    times: list[list[float]] = [[] for _ in jobs]
    for _ in range(rounds):
        for job, seconds in zip(jobs, times, strict=True):
            start = clock()
            job()
            seconds.append(clock() - start)
    return times
