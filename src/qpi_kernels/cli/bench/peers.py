"""``napari-qpi bench prepare`` and ``inspect``: beside other programs, where the truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from qpi_kernels.bench.peer_report import PeerReport
from qpi_kernels.cli.batch import table_console
from qpi_kernels.cli.bench.report_file import checked_target, write_report
from qpi_kernels.cli.common_options import Overwrite

__all__ = ["inspect", "prepare"]

_Seeds = Annotated[int, typer.Option(min=1, help="Maps of each row; the median counts.")]
_Quick = Annotated[
    bool, typer.Option("--quick", help="One small map of each row: shows that it runs.")
]
_Report = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers as JSON.")
]


def prepare(
    seeds: _Seeds = 5,
    quick: _Quick = False,
    peers: Annotated[bool, typer.Option(help="Compare with stmpy, SPIEPy and Gwyddion.")] = True,
    report: _Report = None,
    overwrite: Overwrite = False,
) -> None:
    """Compare the preparation with other programs on maps whose truth is known.

    Drift, rows, steps and pickup. Programs that are not installed are left out.
    """
    target = checked_target(report, overwrite)
    from qpi_kernels.bench.prepare.benchmark import PrepareBench
    from qpi_kernels.progress import drive

    measured = drive(PrepareBench(seeds=seeds, quick=quick, peers=peers))
    _print_rows(table_console(), measured)
    write_report(measured, target)


def inspect(
    seeds: _Seeds = 5,
    quick: _Quick = False,
    peers: Annotated[bool, typer.Option(help="Compare with stmpy.")] = True,
    report: _Report = None,
    overwrite: Overwrite = False,
) -> None:
    """Compare transforms, profiles and cuts with other programs where the truth is known.

    Amplitude, wave number, noise, cuts, profiles, autocorrelation, symmetry and Bragg peaks; then
    which numbers are the same there, and why others differ.
    """
    target = checked_target(report, overwrite)
    from qpi_kernels.bench.inspect.benchmark import InspectBench
    from qpi_kernels.progress import drive

    measured = drive(InspectBench(seeds=seeds, quick=quick, peers=peers))
    console = table_console()
    if measured.agreements:
        table = Table("here", "there", "largest difference", "why", title="The same numbers?")
        for one in measured.agreements:
            table.add_row(*map(escape, (one.here, one.there, one.shown, one.reason)))
        console.print(table)
    _print_rows(console, measured)
    write_report(measured, target)


def _print_rows(console: Console, report: PeerReport) -> None:
    """Print a line for each kind of map, and what is not compared."""
    heads, *lines = report.table()
    table = Table(*heads, "ahead", title="Medians of the best way of each program")
    for row, line in zip(report.rows, lines, strict=True):
        table.add_row(*map(escape, line), "yes" if row.ahead(report.own) else "no")
    console.print(table)
    for missing in report.missing:
        console.print(f"Not compared: {missing}", markup=False)
    console.print(f"{report.software}; {report.machine}", markup=False)
    if report.quick:
        console.print("A quick run shows that everything works, and nothing about the programs.")
