"""Groups of rows that a benchmark measures, as they are named with ``--only``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from qpi_kernels.cli.batch import stop_with

__all__ = ["choose_groups"]

Name = TypeVar("Name", bound=str)


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
