"""``napari-qpi bench dispersion``: from simulated grids to effective masses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from qpi_kernels.cli.batch import stop_with, table_console, write_anew
from qpi_kernels.cli.bench.groups import choose_groups
from qpi_kernels.cli.common_options import Overwrite

__all__ = ["dispersion"]


def dispersion(
    quick: Annotated[bool, typer.Option("--quick", help="One grid of each group.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="GROUP", help="Such as 'Ag(111)'; may be given several times."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the numbers, anew after each grid."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Extract kernels of simulated grids, and compare mass, onset, lifetime and phase with truth.

    All groups take some five minutes on a quiet core.
    """
    try:
        target = None if report is None else write_anew(report, overwrite)
    except OSError as error:
        raise stop_with(str(error)) from error
    from qpi_kernels.bench.dispersion.benchmark import GROUPS, DispersionBench
    from qpi_kernels.progress import drive

    groups = choose_groups(only, GROUPS)
    found = drive(DispersionBench(groups, quick=quick, report_path=target))
    heads, *lines = found.table()
    table = Table(*heads, caption="largest error of the grids", caption_justify="left")
    for line in lines:
        table.add_row(*line)
    console = table_console()
    console.print(table)
    for name, value in found.machine.items():
        console.print(f"{name}: {value}", markup=False)
