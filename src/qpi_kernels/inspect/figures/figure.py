"""`figure`: one of the panels that papers show, drawn and saved with its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

from qpi_kernels.inspect.figures.kind import FigureError, FigurePanel, make_panel
from qpi_kernels.inspect.figures.notes import provenance_notes
from qpi_kernels.inspect.figures.style import Width, journal_style, new_figure
from qpi_kernels.inspect.figures.table import csv_tables, save_tables
from qpi_kernels.io.atomic_write import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "FIGURE_FILES",
    "draw_panel",
    "draw_panels",
    "figure",
    "figure_outputs",
    "save_drawing",
    "save_figure",
    "save_numbers",
]

FIGURE_FILES = (".pdf", ".svg", ".png")
_DPI = 300
# Height of a panel's title, of its width.
_TITLE_SHARE = 0.06


def figure(
    kind: str,
    result: Any,
    *,
    width: Width = "single",
    path: str | Path | None = None,
    **options: Any,
) -> Figure:
    """Draw a figure as papers show it.

    Parameters
    ----------
    kind : str
        ``"map"``, ``"kernel"``, ``"std"``, ``"residual"``, ``"fourier"``, ``"map_fourier"``,
        ``"profile"``, ``"spectrum"``, ``"symmetry"``, ``"dispersion"``, ... : a name of
        `known_kinds`.
    result : KernelResult, xarray.DataArray or Dispersion
        What the kind is made of.
    width : {"single", "double"} or float
        86 or 178 mm as a journal's columns, or in mm.
    path : path-like, optional
        Save it there, as ``.pdf``, ``.svg`` or ``.png`` (300 dpi), and beside it its numbers as
        ``.csv`` with units and provenance. Existing files are replaced.
    **options
        Of the kind, such as ``bias`` in V (the nearest plane of a stack; the clearest when left
        out), or ``kind_of_defect``.

    Returns
    -------
    matplotlib.figure.Figure
        Without pyplot, so it need not be closed.

    Raises
    ------
    FigureError
        If the kind, an option, the width or the extension is unknown, or the figure can not be made
        of this result.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from qpi_kernels.inspect import figure
    >>> image = xr.DataArray(np.eye(32), dims=("y", "x"), attrs={"units": "nm", "long_name": "Z"})
    >>> figure("image", image).axes[1].get_ylabel()
    'Z (nm)'
    """
    if path is not None:
        check_path(Path(path))
    panel = make_panel(kind, result, **options)
    drawn = draw_panel(panel, width)
    if path is not None:
        save_figure(drawn, panel, Path(path), provenance_notes(result))
    return drawn


def check_path(path: Path) -> None:
    """Check that a figure can be saved under a name.

    Raises
    ------
    FigureError
        If its extension is none of `FIGURE_FILES`.
    """
    if path.suffix.lower() not in FIGURE_FILES:
        raise FigureError(f"{path.name}: figures are saved as {', '.join(FIGURE_FILES)}")


def draw_panel(panel: FigurePanel, width: Width, **style: Any) -> Figure:
    """Draw a panel alone on a figure; ``style`` as for `journal_style`."""
    with journal_style(**style):
        drawn = new_figure(width, panel.aspect)
        panel.plot(drawn.add_subplot())
        _settle_layout(drawn)
    return drawn


def draw_panels(panels: Sequence[FigurePanel]) -> Figure:
    """Draw panels beside each other on one figure, each with its letter and title.

    A single one takes the width of a column; others stand in rows of two over both columns of a
    journal, and one that is alone in the last row takes all of it.
    """
    if len(panels) == 1:
        return draw_panel(panels[0], "single")
    rows = [panels[first : first + 2] for first in range(0, len(panels), 2)]
    heights = [max(panel.aspect for panel in row) + _TITLE_SHARE for row in rows]
    with journal_style():
        drawn = new_figure("double", sum(heights) / 2)
        grid = drawn.add_gridspec(len(rows), 2, height_ratios=heights)
        for number, panel in enumerate(panels):
            row, column = divmod(number, 2)
            place = grid[row, :] if len(rows[row]) == 1 else grid[row, column]
            axes = panel.plot(drawn.add_subplot(place))
            mark = axes.get_title(loc="right")
            name = panel.title.rpartition(": ")[2]
            # One line: title and mark would cover each other.
            axes.set_title("", loc="right")
            words = ", ".join(filter(None, (name, mark)))
            axes.set_title(f"({ascii_lowercase[number]}) {words}", loc="left")
        _settle_layout(drawn)
    return drawn


def _settle_layout(drawn: Figure) -> None:
    """Find the layout now, in the style, and keep it; images of fixed shape need three rounds."""
    engine = drawn.get_layout_engine()
    assert engine is not None
    for _ in range(3):
        engine.execute(drawn)
    drawn.set_layout_engine("none")


def save_drawing(drawn: Figure, path: Path) -> None:
    """Save a figure alone, in the style that it was drawn in."""
    with journal_style(), replacing(path) as partial:
        drawn.savefig(partial, dpi=_DPI)


def save_numbers(panel: FigurePanel, path: Path, notes: Mapping[str, str]) -> list[Path]:
    """Save the numbers of a panel as CSV; return the files."""
    told = {"figure": panel.title, "caption": panel.caption, **notes}
    return save_tables(csv_tables(panel.data, told), path)


def save_figure(
    drawn: Figure, panel: FigurePanel, path: Path, notes: Mapping[str, str]
) -> list[Path]:
    """Save a figure, and the numbers of its panel as CSV beside it; return the files."""
    save_drawing(drawn, path)
    return [path, *save_numbers(panel, path.with_suffix(".csv"), notes)]


def figure_outputs(path: Path) -> list[Path]:
    """List the files that a figure of this name certainly writes."""
    return [path, path.with_suffix(".csv")]
