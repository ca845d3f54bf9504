"""``napari-qpi bench blind``: what blind extraction finds in maps whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from qpi_kernels.cli.batch import stop_with, table_console, write_anew
from qpi_kernels.cli.bench.groups import choose_groups
from qpi_kernels.cli.common_options import Overwrite

__all__ = ["blind"]


def blind(
    quick: Annotated[bool, typer.Option("--quick", help="One map of each group.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GROUP",
            help="dense, pairs, coloured, samples or turned; may be given several times.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the numbers, anew after each map."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Search simulated maps without marks, and compare kinds, defects and kernels with the truth.

    All groups take a quarter of an hour on a quiet core.
    """
    try:
        target = None if report is None else write_anew(report, overwrite)
    except OSError as error:
        raise stop_with(str(error)) from error
    from qpi_kernels.bench.blind.benchmark import GROUPS, BlindBench
    from qpi_kernels.progress import drive

    groups = choose_groups(only, GROUPS)
    found = drive(BlindBench(groups, quick=quick, report_path=target))
    heads, *lines = found.table()
    table = Table(*heads)
    for line in lines:
        table.add_row(*line)
    console = table_console()
    console.print(table)
    for name, value in found.machine.items():
        console.print(f"{name}: {value}", markup=False)
