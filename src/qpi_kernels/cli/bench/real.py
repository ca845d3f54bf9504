"""``napari-qpi bench real``: methods compared on a real map by what they predict of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from qpi_kernels.bench.real.parameters import RealBenchParameters
from qpi_kernels.bench.real.report import RealReport
from qpi_kernels.cli.batch import (
    FileResult,
    FileTask,
    exit_if_failed,
    run_batch,
    stop_with,
    table_console,
    write_anew,
)
from qpi_kernels.cli.common_options import Bias, ChannelName, Debug, MaskFile, Overwrite
from qpi_kernels.cli.parameter_options import with_parameters
from qpi_kernels.cli.prepare import Prepare, choose_steps, read_prepared
from qpi_kernels.cli.scan_files import CommandError, read_mask
from qpi_kernels.defects import Defects
from qpi_kernels.progress import drive

__all__ = ["real"]


@with_parameters(parameters=RealBenchParameters)
def real(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A scan, or a prepared image.")],
    *,
    defects: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Positions in pixels; those of a prepared image else."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers as JSON.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table as Markdown.")
    ] = None,
    prepare: Prepare = None,
    channel: ChannelName = None,
    bias: Bias = None,
    mask: MaskFile = None,
    overwrite: Overwrite = False,
    debug: Debug = False,
    parameters: RealBenchParameters,
) -> None:
    """Compare methods on a real map: blocks are left out, and predicted from the rest.

    Needs no known kernel. R squared counts within the kernel windows and takes noise for not
    explained; its standard error is that over the blocks.
    """
    try:
        targets = [
            None if one is None else write_anew(one, overwrite) for one in (report, markdown)
        ]
        counted = None if mask is None else read_mask(mask)
        choice = None if prepare is None else choose_steps(prepare)
    except (ValueError, OSError) as error:
        raise stop_with(str(error)) from error

    def measure(job: FileTask) -> FileResult:
        """Compare the methods and print the table."""
        from qpi_kernels.bench.real.benchmark import RealBench

        marked = None if defects is None else Defects.from_csv(defects)
        scan = read_prepared(job, choice, channel, bias, counted, marked)
        if scan.defects is None:
            raise CommandError("no defects: give --defects CSV")
        bench = RealBench(job.path.name, scan, scan.defects, parameters)
        made = drive(bench, job.on_event, job.cancel)
        _print(made)
        texts = (made.model_dump_json(indent=2) + "\n", made.markdown())
        for target, text in zip(targets, texts, strict=True):
            if target is not None:
                target.write_text(text, encoding="utf-8")
        return FileResult(job.path, made.division)

    exit_if_failed(run_batch([file], measure, debug=debug))


def _print(report: RealReport) -> None:
    """Print the table and what it means."""
    console = table_console()
    heads, *lines = report.table()
    table = Table(*heads, title="Prediction of what was left out")
    for line in lines:
        table.add_row(*map(escape, line))
    console.print(table)
    failures = [f"{row.method}: {row.failure}" for row in report.rows if row.failure]
    for sentence in [*report.sentences, *failures]:
        console.print(sentence, markup=False)
