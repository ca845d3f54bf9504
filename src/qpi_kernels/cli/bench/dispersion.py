"""``napari-qpi bench dispersion``: from simulated grids to effective masses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qpi_kernels.cli.bench.groups import choose_groups, print_groups
from qpi_kernels.cli.bench.report_file import checked_target
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
    target = checked_target(report, overwrite)
    from qpi_kernels.bench.dispersion.benchmark import GROUPS, DispersionBench
    from qpi_kernels.progress import drive

    groups = choose_groups(only, GROUPS)
    found = drive(DispersionBench(groups, quick=quick, report_path=target))
    print_groups(found, "largest error of the grids")
