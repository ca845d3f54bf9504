"""``napari-qpi bench gpu``: a GPU, or what a CPU can show of one, checked in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from qpi_kernels.bench.gpu.report import GpuReport
from qpi_kernels.cli.batch import stop_with, table_console
from qpi_kernels.cli.bench.groups import choose_groups
from qpi_kernels.cli.bench.report_file import checked_target
from qpi_kernels.cli.common_options import Overwrite

__all__ = ["gpu"]


def gpu(
    device: Annotated[
        str, typer.Option(help="cpu, cuda, cuda:0, or auto: a GPU when there is one.")
    ] = "auto",
    quick: Annotated[
        bool, typer.Option("--quick", help="Tiny maps: shows that everything runs.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GROUP",
            help="seconds, traffic, equality, first use or training; may be given several times.",
        ),
    ] = None,
    limit: Annotated[
        float, typer.Option(min=0.1, help="Seconds after which an extraction is stopped.")
    ] = 60.0,
    report: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write all numbers, anew after each row."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Compare a GPU's kernels with the CPU's, time it, and count its launches and waits.

    Without a GPU, a device that pretends shows whether tensors are mixed and what would be
    launched. Exit code 1 if kernels differ or a row failed.
    """
    target = checked_target(report, overwrite)
    from qpi_kernels.bench.gpu.benchmark import GROUPS, GpuBench
    from qpi_kernels.devices import DeviceError
    from qpi_kernels.progress import drive

    groups = choose_groups(only, GROUPS)
    try:
        bench = GpuBench(device, quick=quick, groups=groups, limit=limit, report_path=target)
    except DeviceError as error:
        raise stop_with(str(error)) from error
    measured = drive(bench, lambda event: typer.echo(event.message, err=True))
    _print(measured)
    wrong = [row for row in measured.rows if row.group == "equality" and row.missed]
    if wrong or measured.failed:
        raise typer.Exit(1)


def _print(report: GpuReport) -> None:
    """Print a table for each group, then the machine."""
    console = table_console()
    for group in dict.fromkeys(row.group for row in report.rows):
        table = Table("", "measured", "missed", title=f"{group}, {report.device}")
        for row in report.rows:
            if row.group == group:
                numbers = ", ".join(f"{name} {value:.3g}" for name, value in row.numbers.items())
                missed = ", ".join(f"{name} <= {row.aims[name]:g}" for name in row.missed)
                table.add_row(escape(row.name), escape(row.error or numbers), escape(missed))
        console.print(table)
    for name, value in report.machine.items():
        console.print(f"{name}: {value}", markup=False)
    if report.quick:
        console.print("A quick run shows that everything works, and nothing about speed.")
