"""The JSON file that a benchmark writes its report to."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from qpi_kernels.cli.batch import stop_with, write_anew

__all__ = ["checked_target", "write_report"]


def checked_target(report: Path | None, overwrite: bool) -> Path | None:
    """Check, before hours of work, that the report can be written.

    Raises
    ------
    typer.Exit
        If the file is there and may not be overwritten, or its folder can not be written to.
    """
    try:
        return None if report is None else write_anew(report, overwrite)
    except OSError as error:
        raise stop_with(str(error)) from error


def write_report(report: BaseModel, target: Path | None) -> None:
    """Write all numbers of a report, if they are wanted."""
    if target is not None:
        target.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
