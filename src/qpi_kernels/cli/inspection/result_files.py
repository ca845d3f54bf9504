"""Saved results that the command line names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qpi_kernels.cli.scan_files import CommandError, expand, is_result

__all__ = ["Results", "find_results"]

Results = Annotated[
    list[Path],
    typer.Argument(metavar="RESULT", help="Results of `extract` (.nc), folders, or globs."),
]


def find_results(files: list[Path], recursive: bool) -> list[Path]:
    """Find the results that are meant; folders stand for the results in them.

    Raises
    ------
    CommandError
        If there are none.
    """
    found: list[Path] = []
    for path in files:
        if path.is_dir():
            inside = sorted(path.rglob("*.nc") if recursive else path.glob("*.nc"))
            found += [one for one in inside if is_result(one)]
        else:
            found += expand([path], recursive)
    if not found:
        raise CommandError(f"no results of extract in {', '.join(map(str, files))}")
    return list(dict.fromkeys(found))
