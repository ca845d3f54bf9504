"""``napari-qpi bench``: measured claims, repeatable by anyone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from qpi_kernels.cli.batch import stop_with, table_console, write_anew
from qpi_kernels.cli.common_options import Overwrite

__all__ = ["app"]

app = typer.Typer(help="Measure what is claimed, on this machine.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Measure what is claimed, on this machine."""


@app.command()
def speed(
    repeats: Annotated[int, typer.Option(min=1, help="Timed repetitions; the median counts.")] = 7,
    report: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the numbers as JSON.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Time extraction and simulation against their limits; exit code 1 if one is passed."""
    try:
        target = None if report is None else write_anew(report, overwrite)
    except OSError as error:
        raise stop_with(str(error)) from error
    from qpi_kernels.bench.speed import run

    measured = run(repeats)
    table = Table("claim", "measured", "limit", "", "detail")
    for row in measured.rows:
        verdict = "[green]holds[/green]" if row.passed else "[red]fails[/red]"
        table.add_row(
            escape(row.claim), f"{row.measured:.2f}", f"{row.limit:g}", verdict, escape(row.detail)
        )
    console = table_console()
    console.print(table)
    console.print(escape(measured.machine))
    if target is not None:
        target.write_text(measured.model_dump_json(indent=2) + "\n", encoding="utf-8")
    if not measured.passed:
        raise typer.Exit(1)
