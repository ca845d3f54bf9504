"""`GroupBench`: cases in groups, a row of a report for each, written as they come."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from pydantic import BaseModel, Field

from qpi_kernels.progress import Event, GeneratorStepper

__all__ = ["GroupBench", "GroupReport", "GroupRow"]


class GroupRow(BaseModel):
    """Findings in one case."""

    group: str


Row = TypeVar("Row", bound=GroupRow)


class GroupReport(BaseModel, Generic[Row]):
    """All rows, and the machine they were made on."""

    machine: dict[str, str]
    quick: bool
    rows: list[Row] = Field(default_factory=list)

    @abstractmethod
    def table(self) -> list[list[str]]:
        """Sum up each group in a line, after the heads."""

    def by_group(self) -> list[list[Row]]:
        """Divide the rows by their groups, in the order of their first rows."""
        groups = dict.fromkeys(row.group for row in self.rows)
        return [[row for row in self.rows if row.group == one] for one in groups]


class _Named(Protocol):
    """A case of a benchmark, which tells its name within its group."""

    @property
    def name(self) -> str: ...


Case = TypeVar("Case", bound=_Named)


class GroupBench(GeneratorStepper[GroupReport[Row]], Generic[Case, Row]):
    """Measure the cases of each group one after the other, as a stepper.

    Parameters
    ----------
    report : GroupReport
        Without rows; the result is this one with them.
    groups : mapping of str to iterable
        The cases of each group.
    measure : callable
        A generator that yields events and returns the row of a case.
    report_path : Path, optional
        Where the report is written, anew after each case.
    """

    def __init__(
        self,
        report: GroupReport[Row],
        groups: Mapping[str, Iterable[Case]],
        measure: Callable[[Case], Generator[Event, None, Row]],
        report_path: Path | None,
    ) -> None:
        self._report, self._groups = report, groups
        self._measure, self._path = measure, report_path

    def _run(self) -> Generator[Event, None, GroupReport[Row]]:
        """Measure one case after the other."""
        for group, cases in self._groups.items():
            for number, case in enumerate(cases, 1):
                yield Event(f"{group}, {case.name}", number, 0)
                self._report.rows.append((yield from self._measure(case)))
                if self._path is not None:
                    self._path.write_text(self._report.model_dump_json(indent=1))
        return self._report
