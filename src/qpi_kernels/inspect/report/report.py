"""`Report`: what a reader needs to judge a kernel, as one HTML or PDF file."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from qpi_kernels.inspect.figures.kind import FigureError
from qpi_kernels.inspect.figures.notes import provenance_notes
from qpi_kernels.inspect.report.contents import ReportContents, Section
from qpi_kernels.inspect.report.html_page import html_page
from qpi_kernels.inspect.report.pdf_file import pdf_file
from qpi_kernels.inspect.report.sections import section_makers
from qpi_kernels.io.atomic_write import replacing
from qpi_kernels.progress import CancelToken, Event, GeneratorStepper, drive, finish, portion
from qpi_kernels.quality import describe_quality
from qpi_kernels.scripts.extraction import extraction_script

if TYPE_CHECKING:
    from qpi_kernels.inspect.dispersion.result import Dispersion
    from qpi_kernels.result import KernelResult

__all__ = ["REPORT_FILES", "Report", "ReportWriting"]

REPORT_FILES = (".html", ".pdf")
_SHARE_OF_NUMBERS = 0.4


@dataclass(frozen=True)
class Report:
    """The report of an extraction.

    Maps with marks and mask, kernel with standard deviation, Fourier transforms, residual with its
    spectrum, symmetry, dispersion of a stack, prediction, trust and reasons, provenance, and the
    script that repeats it.

    Parameters
    ----------
    result : KernelResult
        What is reported.
    title : str
        The heading; file and channel when left out.
    dispersion : Dispersion, optional
        A fit of the result's stack; made with the defaults of `fit_dispersion` when left out.
    result_file : path-like, optional
        Where the result is saved, for the script.
    script : str
        The script that repeats the extraction; written from the provenance when left out.
    """

    result: KernelResult
    title: str = ""
    dispersion: Dispersion | None = None
    result_file: str | Path | None = None
    script: str = ""

    def contents(self) -> ReportContents:
        """Compute all that the report says."""
        return finish(self._contents())

    def html(self) -> str:
        """Write the report as one HTML page that needs no network and no other file."""
        return finish(html_page(self.contents(), provenance_notes(self.result)))

    def save(
        self,
        path: str | Path,
        *,
        on_event: Callable[[Event], object] | None = None,
        cancel: CancelToken | None = None,
    ) -> Path:
        """Save the report.

        Parameters
        ----------
        path : path-like
            Ends in ``.html`` or ``.pdf``; both say the same. An existing file is replaced once the
            new one is complete.
        on_event : callable, optional
            Called with an `Event` before each section and figure.
        cancel : CancelToken, optional
            Stops between two of them.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        FigureError
            If the path ends in something else.
        Cancelled
            If ``cancel`` was used.
        """
        return drive(ReportWriting(self, path), on_event, cancel)

    def _contents(self) -> Generator[Event, None, ReportContents]:
        """Yield an event before each section, and return all of them."""
        result = self.result
        script = self.script or extraction_script(result, str(self.result_file or "kernel.nc"))
        makers = list(section_makers(result, self.dispersion, script))
        sections: list[Section] = []
        for name, make in makers:
            yield Event(f"Report: {name}", len(sections), len(makers))
            sections.append(make())
        words = describe_quality(result.quality)
        notes = provenance_notes(result)
        return ReportContents(
            title=self.title or _title(result),
            trust=result.quality.trust,
            headline=words.headline,
            sections=tuple(sections),
            footer=f"Written by {notes['software']} at {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.",
        )


class ReportWriting(GeneratorStepper[Path]):
    """Write a report to a file, as a stepper.

    Parameters
    ----------
    report : Report
        What to write.
    path : path-like
        As for `Report.save`.

    Raises
    ------
    FigureError
        If the path ends in something else than ``.html`` or ``.pdf``.
    """

    def __init__(self, report: Report, path: str | Path) -> None:
        self._report, self._path = report, Path(path)
        if self._path.suffix.lower() not in REPORT_FILES:
            raise FigureError(
                f"{self._path.name}: reports are written as {' or '.join(REPORT_FILES)}"
            )

    def _run(self) -> Generator[Event, None, Path]:
        """Yield an event before each section and figure, and return the path."""
        report = self._report
        contents = yield from portion(report._contents(), 0.0, _SHARE_OF_NUMBERS)
        with replacing(self._path) as partial:
            if self._path.suffix.lower() == ".pdf":
                yield from portion(pdf_file(contents, partial), _SHARE_OF_NUMBERS, 1.0)
            else:
                notes = provenance_notes(report.result)
                page = yield from portion(html_page(contents, notes), _SHARE_OF_NUMBERS, 1.0)
                partial.write_text(page, encoding="utf-8")
        return self._path


def _title(result: KernelResult) -> str:
    """Name a result by its file and channel."""
    known = result.provenance
    name = str(known.get("layer_name") or Path(str(known.get("file", ""))).name)
    channel = str(known.get("channel") or "")
    parts = [part for part in (name, channel) if part]
    return f"Kernel of {', '.join(parts)}" if parts else "Kernel"
