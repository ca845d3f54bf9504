"""Figures of the benchmarks, without a window system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["make_figure", "save_figures"]


def make_figure(width: float, height: float) -> Any:
    """Make a matplotlib figure in inches; pyplot would choose a window system and keep it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figures(figures: dict[str, Any], folder: str | Path) -> list[Path]:
    """Save figures by the names of their files in a folder, which is made if it is missing."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=150)
    return [folder / name for name in figures]
