"""Reports as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Generator
from html import escape
from importlib.resources import files
from string import Template

from qpi_kernels.inspect.figures.figure import draw_panel
from qpi_kernels.inspect.figures.kind import FigurePanel
from qpi_kernels.inspect.figures.style import journal_style
from qpi_kernels.inspect.figures.table import csv_tables
from qpi_kernels.inspect.report.contents import ReportContents, Section, Table
from qpi_kernels.progress import Event

__all__ = ["html_page", "image_data", "page", "table_html"]

_FIGURE_MM = 86.0
_MAX_OPEN_ROWS = 12
_MAX_CSV = 200_000


def html_page(contents: ReportContents, notes: dict[str, str]) -> Generator[Event, None, str]:
    """Write a report as HTML; yields an event for each figure and returns the page.

    Parameters
    ----------
    contents : ReportContents
        What the report says.
    notes : dict of str to str
        Provenance, for the numbers of the figures.
    """
    count = sum(len(section.panels) for section in contents.sections)
    parts, drawn = [_head(contents)], 0
    for number, section in enumerate(contents.sections):
        figures = []
        for panel in section.panels:
            yield Event(f"Drawing {panel.title}", drawn, count)
            figures.append(_figure(panel, notes))
            drawn += 1
        parts.append(_section(section, number, figures))
    parts.append(f"<footer>{escape(contents.footer)}</footer>")
    return page(contents.title, "\n".join(parts))


# A lower limit begins with its sign.
_NUMBER = re.compile(r"(?:> ?)?([-+]?\d[\d.]*(?:e[-+]?\d+)?)(?: ± [\d.]+(?:e[-+]?\d+)?)?(?: %)?")


def page(title: str, body: str) -> str:
    """Put a body into a page with its style and script."""
    room = files("qpi_kernels.inspect.report") / "page"
    frame = Template((room / "page.html").read_text(encoding="utf-8"))
    return frame.substitute(
        title=escape(title),
        style=(room / "page.css").read_text(encoding="utf-8").strip(),
        script=(room / "sort.js").read_text(encoding="utf-8").strip(),
        body=body,
    )


def image_data(
    panel: FigurePanel, width_mm: float, *, kind: str = "svg", dpi: float = 150, bare: bool = False
) -> str:
    """Draw a panel and return its ``data:`` address; ``bare`` leaves out axes and colour bar."""
    # Glyphs as paths look the same whatever fonts there are.
    figure = draw_panel(panel, width_mm, svg_fonttype="path")
    if bare:
        axes, *others = figure.axes
        for one in others:
            one.remove()
        axes.set_axis_off()
        left, right, bottom, top = axes.axis()
        inches = width_mm / 25.4
        figure.set_size_inches(inches, inches * abs((top - bottom) / (right - left)))
        axes.set_position((0.0, 0.0, 1.0, 1.0))
    buffer = io.BytesIO()
    dated = {"Date": None} if kind == "svg" else None
    with journal_style(svg_fonttype="path"):
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=dated)
    mime = {"svg": "image/svg+xml", "png": "image/png"}[kind]
    return f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def table_html(table: Table, *, sortable: bool) -> str:
    """Write a table; a screen reader gets its heads and its caption."""
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in table.heads)
    rows = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    kind = ' class="sortable"' if sortable else ""
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(table.caption)}">'
        f"<table{kind}><caption>{escape(table.caption)}</caption>\n"
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>"
    )


def _cell(words: str) -> str:
    """Write a cell; a number, with its error or not, is not broken and sorts by its value."""
    number = _NUMBER.fullmatch(words)
    if number is None:
        return f"<td>{escape(words)}</td>"
    return f'<td class="number" data-key="{number[1]}">{escape(words)}</td>'


def _head(contents: ReportContents) -> str:
    """Write the heading, the verdict and the list of sections."""
    links = "".join(
        f'<li><a href="#section-{number}">{escape(section.title)}</a></li>'
        for number, section in enumerate(contents.sections)
    )
    return (
        f"<header><h1>{escape(contents.title)}</h1>\n"
        f'<p class="verdict {contents.trust}"><strong>{escape(contents.trust.capitalize())}.'
        f"</strong> {escape(contents.headline)}</p></header>\n"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>'
    )


def _section(section: Section, number: int, figures: list[str]) -> str:
    """Write a section around its figures."""
    parts = [f'<section aria-labelledby="section-{number}">']
    parts.append(f'<h2 id="section-{number}">{escape(section.title)}</h2>')
    parts += [f"<p>{escape(sentence)}</p>" for sentence in section.sentences]
    if figures:
        parts.append('<div class="figures">' + "\n".join(figures) + "</div>")
    for table in section.tables:
        written = table_html(table, sortable=len(table.rows) > 1 and len(table.heads) > 2)
        if len(table.rows) > _MAX_OPEN_ROWS:
            head = f"{len(table.rows)} rows: {table.caption}"
            written = f"<details><summary>{escape(head)}</summary>{written}</details>"
        parts.append(written)
    if section.code:
        parts.append(f'<pre tabindex="0"><code>{escape(section.code)}</code></pre>')
    return "\n".join([*parts, "</section>"])


def _figure(panel: FigurePanel, notes: dict[str, str]) -> str:
    """Write a figure with its caption, and the numbers of a short one."""
    source = image_data(panel, _FIGURE_MM)
    alternative = escape(f"{panel.title}. {panel.caption}")
    return (
        f'<figure><img src="{source}" alt="{alternative}">\n'
        f"<figcaption><strong>{escape(panel.title)}.</strong> {escape(panel.caption)}"
        f"{_numbers(panel, notes)}</figcaption></figure>"
    )


def _numbers(panel: FigurePanel, notes: dict[str, str]) -> str:
    """Write links to the numbers of a figure, where they are few."""
    links = ""
    if sum(variable.size for variable in panel.data.data_vars.values()) > _MAX_CSV // 20:
        return links
    name = "".join(c if c.isalnum() else "_" for c in panel.title.lower()).strip("_")
    told = {"figure": panel.title, "caption": panel.caption} | notes
    tables = csv_tables(panel.data, told)
    for number, (dims, text) in enumerate(tables.items()):
        if len(text) <= _MAX_CSV:
            which = f" ({dims})" if len(tables) > 1 else ""
            packed = base64.b64encode(text.encode()).decode()
            file = f"{name}_{dims}.csv" if number else f"{name}.csv"
            links += (
                f' <a download="{escape(file)}" href="data:text/csv;charset=utf-8;base64,{packed}" '
                f'title="Numbers of this figure, {escape(file)}">CSV{which}</a>'
            )
    return links
