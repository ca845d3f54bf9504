"""The style of saved figures: journal widths, embedded fonts, colour maps."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

from qpi_kernels.inspect.figures.kind import FigureError

__all__ = ["DIVERGING", "SEQUENTIAL", "WIDTHS_MM", "Width", "journal_style", "new_figure"]

Width = Literal["single", "double"] | float

# One and two columns of Physical Review and of Nature journals, in mm.
WIDTHS_MM = {"single": 86.0, "double": 178.0}
# Lightness grows evenly (viridis), or falls evenly to both sides of zero (RdBu); both stay
# readable without red-green vision.
SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"
_MM_PER_INCH = 25.4
_MIN_WIDTH_MM, _MAX_WIDTH_MM = 20.0, 1000.0

# matplotlib's settings are those of the process; reports are drawn in threads.
_one_style_at_a_time = threading.RLock()
_STYLE: dict[Any, Any] = {
    "font.size": 7.0,
    "axes.titlesize": 7.0,
    "axes.labelsize": 7.0,
    "xtick.labelsize": 6.0,
    "ytick.labelsize": 6.0,
    "legend.fontsize": 6.0,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "lines.linewidth": 1.0,
    "lines.markersize": 3.0,
    "legend.frameon": False,
    # Text stays text, which editors and screen readers find; fonts go into the PDF.
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "svg.hashsalt": "napari-qpi",
    # Okabe and Ito's colours, told apart without red-green vision.
    "axes.prop_cycle": (
        "cycler('color', ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9'])"
    ),
}


@contextmanager
def journal_style(**more: Any) -> Iterator[None]:
    """Draw and save figures in the style of a journal.

    Parameters
    ----------
    **more
        Further settings of matplotlib, with ``_`` for each dot.
    """
    import matplotlib

    own: dict[Any, Any] = {name.replace("_", "."): value for name, value in more.items()}
    # What a user set for own figures does not change these.
    with _one_style_at_a_time, matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE | own)
        yield


def new_figure(width: Width, aspect: float) -> Figure:
    """Make an empty figure; pyplot would choose a window system and keep it.

    Parameters
    ----------
    width : {"single", "double"} or float
        Of a journal's column, or in mm.
    aspect : float
        Height over width.

    Raises
    ------
    FigureError
        If the width is neither.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if isinstance(width, str) and width not in WIDTHS_MM:
        raise FigureError(f"a width is {', '.join(WIDTHS_MM)} or in mm, not {width!r}")
    millimetres = WIDTHS_MM[width] if isinstance(width, str) else float(width)
    if not _MIN_WIDTH_MM <= millimetres <= _MAX_WIDTH_MM:
        raise FigureError(
            f"a figure is {_MIN_WIDTH_MM:g} to {_MAX_WIDTH_MM:g} mm wide, not {millimetres:g}"
        )
    inches = millimetres / _MM_PER_INCH
    figure = Figure(figsize=(inches, inches * aspect), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
