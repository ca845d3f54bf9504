"""``napari-qpi bench blind``: what blind extraction finds in maps whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qpi_kernels.cli.bench.groups import choose_groups, print_groups
from qpi_kernels.cli.bench.report_file import checked_target
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
    target = checked_target(report, overwrite)
    from qpi_kernels.bench.blind.benchmark import GROUPS, BlindBench
    from qpi_kernels.progress import drive

    groups = choose_groups(only, GROUPS)
    found = drive(BlindBench(groups, quick=quick, report_path=target))
    print_groups(found)
