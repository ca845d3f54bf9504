"""`ScorePlot`: symmetry scores as bars, with the scores that noise makes."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtGui import QFont

from napari_qpi.widgets.common.plotting import pg
from napari_qpi.widgets.inspect.plots.curve_plot import curve_color
from napari_qpi.widgets.inspect.plots.frame import PlotFrame
from qpi_kernels.inspect import SymmetryScores

__all__ = ["ScorePlot"]

_WIDTH, _SHIFT = 0.6, 0.15
_SIGMAS = 2.0
_FAINT = 110
_TICK_POINTS = 7
_CHANCE, _REACHABLE = "#b0006b", curve_color(4)


class ScorePlot(PlotFrame):
    """Draw `SymmetryScores`: full bars where a symmetry is supported, faint ones elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self._items: list[Any] = []
        self._heights: dict[str, float] = {}
        self._legend = self.plot.addLegend(offset=(-4, 4), labelTextSize="8pt", verSpacing=-6)
        self._legend.setLabelTextColor(self.text_color)
        self.set_labels("", "correlation with the copy")
        small = QFont(self.font())
        small.setPointSize(_TICK_POINTS)
        self.plot.getAxis("bottom").setStyle(tickFont=small)

    @property
    def heights(self) -> dict[str, float]:
        """The scores that are drawn, by the name of the operation."""
        return self._heights

    def clear(self) -> None:
        """Draw nothing."""
        for item in self._items:
            self.plot.removeItem(item)
        self._items, self._heights = [], {}
        self.plot.getAxis("bottom").setTicks([[]])
        self.set_title("")

    def show_scores(self, scores: SymmetryScores, title: str) -> None:
        """Draw scores in place of those on show."""
        self.clear()
        names = list(scores.score)
        places = np.arange(len(names), dtype=float)
        self._heights = dict(scores.score)
        colors = [pg.mkColor(curve_color(1)) for _ in names]
        for color, supported in zip(colors, scores.supported.values(), strict=True):
            color.setAlpha(255 if supported else _FAINT)
        values = list(scores.score.values())
        self._add(pg.BarGraphItem(x=places, height=values, width=_WIDTH, brushes=colors, pen=None))
        levels = (
            ("noise alone", scores.chance, scores.chance_std, _CHANCE, -_SHIFT),
            (
                "symmetric with this noise",
                scores.reachable,
                scores.reachable_std,
                _REACHABLE,
                _SHIFT,
            ),
        )
        for label, mean, std, color, shift in levels:
            self._draw_level(label, places + shift, list(mean.values()), list(std.values()), color)
        words = [name.replace(" ", "") for name in names]
        self.plot.getAxis("bottom").setTicks([list(zip(places.tolist(), words, strict=True))])
        low = min(0.0, *values)
        self.plot.setRange(xRange=(-0.7, len(names) - 0.3), yRange=(low, 1.15), padding=0.02)
        self.set_title(title)

    def _draw_level(
        self, label: str, places: Any, mean: list[float], std: list[float], color: str
    ) -> None:
        """Draw what noise makes of every score, with two standard deviations."""
        known = np.isfinite(mean)
        if not known.any():
            return
        at, middle = places[known], np.asarray(mean)[known]
        errors = _SIGMAS * np.asarray(std)[known]
        pen = pg.mkPen(color, width=2)
        self._add(pg.ErrorBarItem(x=at, y=middle, height=2 * errors, beam=0.2, pen=pen))
        points = pg.ScatterPlotItem(
            at, middle, size=7, brush=color, pen=None, name=f"{label}, 2 sigma"
        )
        self._add(points)

    def _add(self, item: Any) -> None:
        self.plot.addItem(item)
        self._items.append(item)

    def follow_theme(self) -> None:
        """Draw axes, texts and the legend in the colours of the theme."""
        super().follow_theme()
        legend = getattr(self, "_legend", None)
        if legend is not None:
            legend.setLabelTextColor(self.text_color)
            for _, label in legend.items:
                label.setText(label.text, color=self.text_color)
