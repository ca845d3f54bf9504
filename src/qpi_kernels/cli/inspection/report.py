"""``napari-qpi report``: what saved kernels show, for readers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qpi_kernels.cli import batch, common_options
from qpi_kernels.cli.batch import FileResult, FileTask
from qpi_kernels.cli.inspection.result_files import Results, find_results
from qpi_kernels.cli.scan_files import CommandError

if TYPE_CHECKING:
    from qpi_kernels.inspect.report.index_page import IndexEntry

__all__ = ["report"]


def report(
    files: Results,
    *,
    output: Annotated[
        Path | None,
        common_options.output_option(
            "FILE|FOLDER",
            "Report to write, .html or .pdf; for many results a folder, which gets an index.html "
            "(default: beside each result, RESULT_report.html).",
        ),
    ] = None,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Write PDF when -o names no file; .html is the default.")
    ] = False,
    recursive: common_options.Recursive = False,
    overwrite: common_options.Overwrite = False,
    debug: common_options.Debug = False,
) -> None:
    """Report saved kernels: maps, kernel, spectra, symmetry, dispersion, trust and provenance.

    One file that needs no network. A folder of reports gets an index page with thumbnails and a
    table that sorts by trust, misfit, signal or effective mass.
    """
    try:
        paths = find_results(files, recursive)
        if pdf and output is not None and output.suffix.lower() == ".html":
            raise CommandError(f"{output.name} ends in .html; leave out --pdf")
        index = _index_path(paths, output)
        if index is not None:
            batch.write_anew(index, overwrite)
    except (ValueError, OSError) as error:
        raise batch.stop_with(str(error)) from error
    suffix = "_report.pdf" if pdf else "_report.html"
    targets = batch.plan_outputs(paths, output, suffix, (".html", ".pdf"))
    entries: dict[Path, IndexEntry] = {}

    def work(job: FileTask) -> FileResult:
        """Write the report of one result."""
        from qpi_kernels.inspect.report.dispersion_section import proposed_dispersion
        from qpi_kernels.inspect.report.index_page import index_entry
        from qpi_kernels.inspect.report.report import Report
        from qpi_kernels.result import KernelResult

        target = batch.write_anew(targets[job.path], overwrite)
        result = KernelResult.load(job.path)
        # Fitted once, for the report and for the index.
        fitted = None if index is None else proposed_dispersion(result)
        title = f"Kernel {job.path.stem}"
        made = Report(result, title=title, dispersion=fitted, result_file=job.path)
        written = made.save(target, on_event=job.on_event, cancel=job.cancel)
        if index is not None:
            entries[job.path] = index_entry(result, job.path, written, fitted)
        return FileResult(job.path, f"{result.quality.trust} kernel -> {target}")

    outcomes = batch.run_batch(paths, work, debug=debug)
    if index is not None and entries:
        from qpi_kernels.inspect.report.index_page import write_index

        write_index(index, list(entries.values()))
        typer.echo(f"index -> {index}")
    batch.exit_if_failed(outcomes)


def _index_path(paths: list[Path], output: Path | None) -> Path | None:
    """Give the index page of a folder of reports; None for a single report."""
    if output is None or (len(paths) == 1 and output.suffix.lower() in (".html", ".pdf")):
        return None
    return output / "index.html" if len(paths) > 1 or not output.suffix else None
