"""Groups of rows that a benchmark measures: how they are named with ``--only``, and printed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from rich.table import Table

from qpi_kernels.bench.group_bench import GroupReport, GroupRow
from qpi_kernels.cli.batch import stop_with, table_console

__all__ = ["choose_groups", "print_groups"]

Name = TypeVar("Name", bound=str)
Row = TypeVar("Row", bound=GroupRow)


def choose_groups(only: Iterable[str] | None, groups: Sequence[Name]) -> list[Name]:
    """Choose groups by their names; all where none is named.

    Parameters
    ----------
    only : iterable of str, optional
        The names that were asked for.
    groups : sequence of str
        All groups, in the order in which they are measured.

    Raises
    ------
    typer.Exit
        If there is no such group, with a message that lists them.
    """
    names = list(only or groups)
    unknown = [name for name in names if name not in groups]
    if unknown:
        raise stop_with(f"there is no group {unknown[0]!r}; choose of {', '.join(groups)}")
    return [name for name in groups if name in names]


def print_groups(report: GroupReport[Row], caption: str | None = None) -> None:
    """Print a line for each group, then the machine."""
    heads, *lines = report.table()
    table = Table(*heads, caption=caption, caption_justify="left")
    for line in lines:
        table.add_row(*line)
    console = table_console()
    console.print(table)
    for name, value in report.machine.items():
        console.print(f"{name}: {value}", markup=False)
