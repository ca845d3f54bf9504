"""Lines of text of a given width."""

from __future__ import annotations

import textwrap

__all__ = ["wrapped_lines"]

_MM_PER_POINT = 25.4 / 72.0
_FONT = "DejaVu Sans"
# Width of a narrow letter over the size of the font: where to begin.
_LETTER = 0.28


def wrapped_lines(text: str, size: float, width_mm: float, *, weight: str = "normal") -> list[str]:
    """Break a text into lines that are nowhere wider than a column.

    Parameters
    ----------
    text : str
        One paragraph.
    size : float
        Of the font, DejaVu Sans, in points.
    width_mm : float
        Of the column.
    weight : {"normal", "bold"}
        Of the font.
    """
    letters = max(int(width_mm / (size * _LETTER * _MM_PER_POINT)), 1)
    while True:
        lines = textwrap.wrap(text, letters, replace_whitespace=False)
        widest = max((_width_mm(line, size, weight) for line in lines), default=0.0)
        if widest <= width_mm or letters == 1:
            return lines
        letters = max(min(letters - 1, int(letters * width_mm / widest) + 1), 1)


def _width_mm(line: str, size: float, weight: str) -> float:
    """Measure a line as matplotlib draws it."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=_FONT, weight=weight, size=size)
    points, _, _ = text_to_path.get_text_width_height_descent(line, font, ismath=False)
    return float(points) * _MM_PER_POINT
