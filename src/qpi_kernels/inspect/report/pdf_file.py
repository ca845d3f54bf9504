"""Reports as PDF pages of A4, with the contents of the HTML page."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qpi_kernels.inspect.figures.figure import draw_panel
from qpi_kernels.inspect.figures.kind import FigurePanel
from qpi_kernels.inspect.figures.style import journal_style
from qpi_kernels.inspect.report.contents import ReportContents, Section, Table
from qpi_kernels.inspect.report.text_lines import wrapped_lines
from qpi_kernels.progress import Event

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["pdf_file"]

_PAGE_MM, _MARGIN_MM = (210.0, 297.0), 15.0
_TEXT_MM = (_PAGE_MM[0] - 2 * _MARGIN_MM, _PAGE_MM[1] - 2 * _MARGIN_MM)
_MM_PER_INCH, _MM_PER_POINT = 25.4, 25.4 / 72.0
_LINE = 1.35  # distance of lines over the size of the font
_FONT_HEIGHT = 1.02  # of DejaVu Sans over its size, from which matplotlib counts
_FIXED = 0.61  # width of a letter of fixed width over the size of the font
_GAP_MM = 2.0
_CELL_LETTERS = 40
_MIN_SIZE = 4.5
_COLUMN_GAP = "  "
_PIECE = 8  # lines of a table or script that stay together


@dataclass(frozen=True)
class _Block:
    """A strip of a page: its height, and what draws it; ``stays`` with the block below.

    ``draw(page, top_mm)`` draws on a figure from a distance below its upper edge.
    """

    height_mm: float
    draw: Callable[[Figure, float], object]
    stays: bool = False


def pdf_file(contents: ReportContents, path: Path) -> Generator[Event, None, None]:
    """Write a report as PDF; yields an event for each page."""
    from matplotlib.backends.backend_pdf import PdfPages

    pages = list(_pages(list(_blocks(contents))))
    file = PdfPages(path, metadata={"Title": contents.title})
    try:
        for number, blocks in enumerate(pages, start=1):
            yield Event(f"Page {number}", number - 1, len(pages))
            footer = f"{contents.footer}  Page {number} of {len(pages)}."
            # Not around the loop: between two events the settings are those of others.
            with journal_style():
                file.savefig(_page(blocks, footer))  # type: ignore[no-untyped-call]
    finally:
        # Fonts are written by the style of now.
        with journal_style():
            file.close()  # type: ignore[no-untyped-call]


def _page(blocks: list[_Block], footer: str) -> Figure:
    """Draw blocks from the top of a page down."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    page = Figure(figsize=(_PAGE_MM[0] / _MM_PER_INCH, _PAGE_MM[1] / _MM_PER_INCH))
    FigureCanvasAgg(page)
    top = _MARGIN_MM
    for block in blocks:
        block.draw(page, top)
        top += block.height_mm
    _draw_text(page, _PAGE_MM[1] - 0.6 * _MARGIN_MM, footer, 6, color="0.4")
    return page


def _pages(blocks: list[_Block]) -> Iterator[list[_Block]]:
    """Divide blocks into pages; a heading stays with what follows."""
    page: list[_Block] = []
    below = 0.0
    needed = []
    for block in reversed(blocks):
        below = block.height_mm + (below if block.stays else 0.0)
        needed.append(below)
    for block, height in zip(blocks, reversed(needed), strict=True):
        if page and sum(one.height_mm for one in page) + height > _TEXT_MM[1]:
            yield page
            page = []
        page.append(block)
    if page:
        yield page


def _blocks(contents: ReportContents) -> Iterator[_Block]:
    """Divide a report into blocks that fit on a page each."""
    yield from _text(contents.title, 16, weight="bold")
    yield from _text(f"{contents.trust.capitalize()}. {contents.headline}", 10, weight="bold")
    for section in contents.sections:
        yield from _section_blocks(section)


def _section_blocks(section: Section) -> Iterator[_Block]:
    """Divide a section into blocks."""
    yield from _text(section.title, 12, weight="bold", before=4.0, stays=True)
    follows = bool(section.panels or section.tables or section.code)
    for sentence in section.sentences:
        # Sentences, and the heading above, are not torn from what they are about.
        yield from _text(sentence, 8, stays=follows)
    for start in range(0, len(section.panels), 2):
        yield _panel_row(section.panels[start : start + 2])
    for table in section.tables:
        yield from _text(table.caption, 7, color="0.3", before=2.0, stays=True)
        lines = _table_lines(table)
        # Columns stay columns: a wide table has smaller letters.
        widest = max(map(len, lines)) * _FIXED * _MM_PER_POINT
        yield from _fixed(lines, max(min(6.5, _TEXT_MM[0] / widest), _MIN_SIZE))
    if section.code:
        yield from _text("Script", 7, color="0.3", before=3.0, stays=True)
        yield from _fixed(section.code.splitlines(), 6.5)


def _text(
    text: str, size: float, *, before: float = 0.0, stays: bool = False, **style: Any
) -> Iterator[_Block]:
    """Wrap a paragraph, with space before it."""
    lines = wrapped_lines(text, size, _TEXT_MM[0], weight=style.get("weight", "normal"))

    def draw(page: Figure, top: float) -> None:
        """Draw the paragraph."""
        _draw_text(page, top + before, "\n".join(lines), size, **style)

    yield _Block(_height(lines, size) + before + 0.8, draw, stays)


def _fixed(lines: list[str], size: float) -> Iterator[_Block]:
    """Write lines in letters of fixed width, in pieces that may go on to a next page."""
    parts = [part for line in lines for part in _wrapped(line, size) or [""]]
    for start in range(0, len(parts), _PIECE):
        piece = parts[start : start + _PIECE]

        def draw(page: Figure, top: float, piece: list[str] = piece) -> None:
            """Draw the piece."""
            _draw_text(page, top, "\n".join(piece), size, family="monospace")

        yield _Block(_height(piece, size), draw)


def _height(lines: list[str], size: float) -> float:
    """Return the height of lines in mm."""
    return len(lines) * size * _LINE * _MM_PER_POINT


def _draw_text(page: Figure, top: float, text: str, size: float, **style: Any) -> None:
    """Draw lines of text from a distance in mm below the upper edge; no formulas in it."""
    left, height = style.pop("left", _MARGIN_MM) / _PAGE_MM[0], 1.0 - top / _PAGE_MM[1]
    drawn = page.text(left, height, text, size=size, va="top", parse_math=False, **style)
    drawn.set_linespacing(_LINE / _FONT_HEIGHT)


def _wrapped(text: str, size: float) -> list[str]:
    """Break a line of fixed width at the page's; spaces at its beginning are kept."""
    letters = int(_TEXT_MM[0] / (size * _FIXED * _MM_PER_POINT))
    return textwrap.wrap(
        text, letters, replace_whitespace=False, drop_whitespace=not text.startswith(" ")
    )


def _panel_row(panels: tuple[FigurePanel, ...]) -> _Block:
    """Draw one or two figures with their captions."""
    side, size = (_TEXT_MM[0] - _GAP_MM) / 2, 6.5
    captions = [wrapped_lines(f"{one.title}. {one.caption}", size, side - 4) for one in panels]
    height = max(panel.aspect for panel in panels) * side

    def draw(page: Figure, top: float) -> None:
        """Draw the figures above, the captions below."""
        for number, (panel, caption) in enumerate(zip(panels, captions, strict=True)):
            left = _MARGIN_MM + number * (side + _GAP_MM)
            _draw_panel(page, panel, left, top, side)
            below = top + height + _GAP_MM / 2
            _draw_text(page, below, "\n".join(caption), size, color="0.25", left=left + 2)

    return _Block(height + max(_height(caption, size) for caption in captions) + 2 * _GAP_MM, draw)


def _draw_panel(page: Figure, panel: FigurePanel, left: float, top: float, side: float) -> None:
    """Draw a figure on a page as it is drawn alone, in the same places."""
    alone = draw_panel(panel, side)
    height = panel.aspect * side
    before = len(page.axes)
    panel.plot(page.add_axes((0.0, 0.0, 1.0, 1.0)))
    for axes, model in zip(page.axes[before:], alone.axes, strict=True):
        place = model.get_position()
        axes.set_position(
            (
                (left + place.x0 * side) / _PAGE_MM[0],
                1.0 - (top + (1.0 - place.y0) * height) / _PAGE_MM[1],
                place.width * side / _PAGE_MM[0],
                place.height * height / _PAGE_MM[1],
            )
        )


def _table_lines(table: Table) -> list[str]:
    """Write a table in columns of fixed width; long cells go on in the next line."""
    cells = [[textwrap.wrap(cell, _CELL_LETTERS) or [""] for cell in row] for row in table.rows]
    widths = [
        max([len(head), *(len(part) for row in cells for part in row[column])])
        for column, head in enumerate(table.heads)
    ]
    lines = [_COLUMN_GAP.join(map(str.ljust, table.heads, widths)).rstrip()]
    lines.append(_COLUMN_GAP.join("-" * width for width in widths))
    for row in cells:
        for number in range(max(map(len, row))):
            parts = [cell[number] if number < len(cell) else "" for cell in row]
            lines.append(_COLUMN_GAP.join(map(str.ljust, parts, widths)).rstrip())
    return lines
