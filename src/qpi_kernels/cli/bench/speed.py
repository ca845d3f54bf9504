"""``napari-qpi bench speed``: times of extraction, simulation and training, and their growth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from qpi_kernels.bench.speed.report import SpeedReport
from qpi_kernels.cli.batch import stop_with, table_console
from qpi_kernels.cli.bench.groups import choose_groups
from qpi_kernels.cli.bench.report_file import checked_target
from qpi_kernels.cli.common_options import Overwrite

__all__ = ["speed"]


def speed(
    repeats: Annotated[int, typer.Option(min=1, help="Timed repetitions; the median counts.")] = 7,
    quick: Annotated[
        bool, typer.Option("--quick", help="Tiny maps: shows that everything runs.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GROUP",
            help="maps, stacks, start, ratios, simulation, training or growth; may be given "
            "several times.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the numbers, anew after each row."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what the JSON file holds already.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Time extraction, simulation and training beside what they cannot do without.

    Ratios, and how time and memory grow, have limits; exit code 1 if one is passed. Seconds are
    for information. All groups take half an hour or so on two quiet cores; after a stop,
    --resume goes on.
    """
    target = checked_target(report, overwrite or resume)
    from qpi_kernels.bench.speed.benchmark import GROUPS, SpeedBench, SpeedBenchError
    from qpi_kernels.progress import drive

    groups = choose_groups(only, GROUPS)
    try:
        bench = SpeedBench(
            repeats=repeats, quick=quick, groups=groups, report_path=target, resume=resume
        )
    except SpeedBenchError as error:
        raise stop_with(str(error)) from error
    measured = drive(bench, lambda event: typer.echo(event.message, err=True))
    _print(measured)
    if not measured.passed:
        raise typer.Exit(1)


def _print(report: SpeedReport) -> None:
    """Print the tables that hold something, what failed, and the machine."""
    console = table_console()
    for title, (heads, *lines) in report.tables().items():
        if lines:
            table = Table(*heads, title=title)
            for line in lines:
                table.add_row(*map(escape, line))
            console.print(table)
    for failure in report.failures:
        console.print(f"{failure.name}: {failure.error}", markup=False)
    for name, value in report.machine.items():
        console.print(f"{name}: {value}", markup=False)
    if report.quick:
        console.print("A quick run shows that everything works, and nothing about speed.")
