"""Pictures of the accuracy benchmark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from qpi_kernels.bench.accuracy.parameters import METHODS, MethodName
from qpi_kernels.bench.accuracy.report import AccuracyReport
from qpi_kernels.bench.accuracy.scores import CellScores, Spread
from qpi_kernels.bench.plotting import make_figure, save_figures

__all__ = ["write_accuracy_plots"]

_COLOURS = dict(zip(METHODS, ("C7", "C0", "k", "C2", "C4", "C3", "C5", "C1"), strict=True))
_WITH_INTERVALS: tuple[MethodName, ...] = (
    "least_squares",
    "bayes_smooth",
    "bayes_learned",
    "bayes",
    "oracle",
    "two_step",
)


def write_accuracy_plots(report: AccuracyReport, folder: str | Path) -> list[Path]:
    """Draw errors and coverage by cell.

    Parameters
    ----------
    report : AccuracyReport
        With at least one cell.
    folder : path-like
        Made if missing; files of the same names are replaced.

    Returns
    -------
    list of Path
        ``error_ratio.png``: median error over that of the tuned ridge, with what 80 % of the maps
        have; ``coverage.png``: share of pixels within the 95 % interval, likewise.
    """
    errors, axes = _by_cell(report, METHODS, lambda cell, method: cell.ratios[method])
    _plain_log_scale(axes)
    axes.axvline(1.0, color="k", linewidth=0.8)
    axes.set_xlabel("error over that of the ridge tuned with the truth; median, 10-90 % of maps")
    covered, axes = _by_cell(
        report, _WITH_INTERVALS, lambda cell, method: cell.scores[method]["coverage"]
    )
    axes.axvline(0.95, color="k", linewidth=0.8)
    axes.set_xlabel("share of pixels within the 95 % interval; median, 10-90 % of maps")
    return save_figures({"error_ratio.png": errors, "coverage.png": covered}, folder)


def _by_cell(
    report: AccuracyReport,
    methods: tuple[MethodName, ...],
    number: Callable[[CellScores, MethodName], Spread],
) -> tuple[Any, Any]:
    """Draw a figure with a line for each cell and a colour for each method."""
    cells = report.cells
    methods = tuple(method for method in methods if method in report.settings.methods)
    figure = make_figure(9.0, 1.5 + 0.3 * len(cells))
    axes = figure.subplots()
    places = np.arange(len(cells))[::-1]
    for rank, method in enumerate(methods):
        spreads = [number(cell, method) for cell in cells]
        medians = np.array([one.median for one in spreads])
        below = medians - [one.low for one in spreads]
        above = np.array([one.high for one in spreads]) - medians
        axes.errorbar(
            medians,
            places + 0.5 * (0.5 - rank / max(len(methods) - 1, 1)),
            xerr=np.stack([below, above]),
            fmt="o",
            markersize=3,
            linewidth=0.8,
            color=_COLOURS[method],
            label=method,
        )
    axes.set_yticks(places, [str(cell.cell) for cell in cells], fontsize=7)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    if report.settings.quick:
        axes.set_title("quick run: says nothing about the methods")
    return figure, axes


def _plain_log_scale(axes: Any) -> None:
    """Set ticks at 0.1, 0.2, 0.5, 1 ..., written so."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(NullFormatter())
