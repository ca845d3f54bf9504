"""The contents of a report, whatever it is written as."""

from __future__ import annotations

from dataclasses import dataclass

from qpi_kernels.inspect.figures.kind import FigurePanel
from qpi_kernels.quality import Trust

__all__ = ["ReportContents", "Section", "Table"]


@dataclass(frozen=True)
class Table:
    """A table of text.

    Parameters
    ----------
    caption : str
        What it lists, with units.
    heads : tuple of str
        One for each column.
    rows : tuple of tuple of str
        As many cells as heads.
    """

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """A section of a report: sentences, then figures, then tables, then code.

    Parameters
    ----------
    title : str
        Its heading.
    sentences : tuple of str
        One paragraph each.
    panels : tuple of FigurePanel
        Its figures.
    tables : tuple of Table
        Its tables.
    code : str
        A script, or nothing.
    """

    title: str
    sentences: tuple[str, ...] = ()
    panels: tuple[FigurePanel, ...] = ()
    tables: tuple[Table, ...] = ()
    code: str = ""


@dataclass(frozen=True)
class ReportContents:
    """All that a report says.

    Parameters
    ----------
    title : str
        The heading.
    trust : {"good", "uncertain", "undetermined"}
        Of the kernel.
    headline : str
        The verdict in a sentence.
    sections : tuple of Section
        In their order.
    footer : str
        Software and time.
    """

    title: str
    trust: Trust
    headline: str
    sections: tuple[Section, ...]
    footer: str
