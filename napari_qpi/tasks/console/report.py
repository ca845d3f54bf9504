"""`ConsoleReport`: a report that was started from napari's console."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_qpi.tasks.console.job import ConsoleJob
from qpi_kernels.inspect.report.report import Report, ReportWriting

if TYPE_CHECKING:
    from qpi_kernels.result import KernelResult

__all__ = ["ConsoleReport"]


class ConsoleReport(ConsoleJob[Path]):
    """A report that is being written; ``wait()`` gives its path.

    Parameters
    ----------
    result : KernelResult
        What is reported.
    path : path-like
        Ends in ``.html`` or ``.pdf``.
    """

    name = "Report"

    def __init__(self, result: KernelResult, path: str | Path) -> None:
        self._path = Path(path)
        writing = partial(ReportWriting, Report(result), self._path)
        super().__init__(f"Write {self._path.name}", writing)

    def __repr__(self) -> str:
        """Describe the report for the console."""
        return f"<Report {self._path}: {self.state.value}>"

    def show(self, outcome: Path) -> Path:
        """Add nothing to the viewer; the file is there."""
        return outcome
