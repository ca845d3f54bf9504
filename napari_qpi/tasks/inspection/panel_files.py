"""Figures and tables of what a panel of the Inspect dock draws."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import xarray as xr

from napari_qpi.tasks.inspection.state import Inspection
from qpi_kernels.inspect.figures.figure import (
    FIGURE_FILES,
    check_path,
    draw_panels,
    save_drawing,
    save_numbers,
)
from qpi_kernels.inspect.figures.kind import FigurePanel
from qpi_kernels.inspect.figures.kinds.curves.curves import curves_panel
from qpi_kernels.inspect.figures.kinds.images.cut_stack import stack_panel
from qpi_kernels.inspect.figures.kinds.images.image import image_panel
from qpi_kernels.inspect.figures.notes import provenance_notes
from qpi_kernels.inspect.figures.table import csv_tables, save_tables

__all__ = ["FIGURE_KINDS", "figure_of", "panel_notes", "save_exports", "save_figures"]

FIGURE_KINDS = ";;".join(f"{suffix[1:].upper()} (*{suffix})" for suffix in FIGURE_FILES)
"""Kinds of figures as Qt's dialogs take them."""

_IMAGES = (("y", "x"), ("q_y", "q_x"))

Exported = xr.DataArray | xr.Dataset


def figure_of(export: Exported, title: str) -> FigurePanel:
    """Make the figure of an image, of cuts over bias, or of curves over one axis."""
    title = f"{title}: {_name(export)}"
    if isinstance(export, xr.DataArray) and export.ndim == 2:
        make = image_panel if export.dims in _IMAGES else stack_panel
        return make(export, title, f"{title}.")
    return curves_panel(export, title, f"{title}.")


def save_figures(panels: Sequence[FigurePanel], path: Path, notes: Mapping[str, str]) -> list[Path]:
    """Save panels as one figure in a journal's width, with the numbers of each as CSV beside it.

    Parameters
    ----------
    panels : sequence of FigurePanel
        The numbers of all but the first one have their title in the name of the file.
    path : Path
        With the extension of a figure.
    notes : mapping of str to str
        Where the numbers come from, a line each before the tables.

    Returns
    -------
    list of Path
        The files written, the figure first.

    Raises
    ------
    FigureError
        If the extension is another one.
    """
    check_path(path)
    save_drawing(draw_panels(panels), path)
    saved, table = [path], path.with_suffix(".csv")
    for number, panel in enumerate(panels):
        target = _numbered(table, panel.title.rpartition(": ")[2]) if number else table
        saved += save_numbers(panel, target, notes)
    return saved


def save_exports(
    exports: Sequence[Exported], path: Path, title: str, notes: Mapping[str, str]
) -> list[Path]:
    """Save arrays as CSV; parameters as for `save_figures`, and the title of the panel."""
    saved: list[Path] = []
    for number, export in enumerate(exports):
        name = _name(export)
        data = export if isinstance(export, xr.Dataset) else export.to_dataset(name=name)
        tables = csv_tables(data, {"shows": f"{title}: {name}", **notes})
        saved += save_tables(tables, _numbered(path, name) if number else path)
    return saved


def panel_notes(inspection: Inspection) -> dict[str, str]:
    """Write down where the numbers of a panel come from."""
    data = inspection.data
    notes = {role: inspection.title(role) for role in ("map", "kernel")}
    notes["file"] = (
        "" if data.map.source is None else f"{data.map.source.path}, {data.map.source.channel}"
    )
    notes["window of transforms"] = inspection.window
    known = provenance_notes(data.kernel.result)
    return known | {name: words for name, words in notes.items() if words}


def _name(export: Exported) -> str:
    named = export.name if isinstance(export, xr.DataArray) else export.attrs.get("title")
    return str(named or export.attrs.get("long_name") or "values")


def _numbered(path: Path, name: str) -> Path:
    """Add a name to that of a file."""
    words = re.sub(r"\W+", "_", name).strip("_").lower()
    return path.with_stem(f"{path.stem}_{words}")
