"""`SymmetryPanel`: which symmetries the kernel has, before anything is symmetrised."""

from __future__ import annotations

from html import escape

import xarray as xr
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout

from napari_qpi.tasks.inspection.background_call import BackgroundCall
from napari_qpi.tasks.inspection.state import Inspection
from napari_qpi.tasks.scripts.inspection import plane_code
from napari_qpi.widgets.inspect.panel import Panel
from napari_qpi.widgets.inspect.plots.score_plot import ScorePlot
from qpi_kernels import inspect
from qpi_kernels.inspect.figures.kind import FigurePanel, make_panel

__all__ = ["SymmetryPanel"]


class SymmetryPanel(Panel):
    """Scores of rotations and mirrors, beside those of noise and of a symmetric kernel with noise.

    Attributes
    ----------
    plot : ScorePlot
        The scores as bars.
    scores : SymmetryScores or None
        What is drawn.
    """

    title = "Symmetry"
    help = "Symmetry of the kernel, beside the scores that its noise makes by chance."

    def __init__(self, inspection: Inspection) -> None:
        super().__init__(inspection)
        self.scores: inspect.SymmetryScores | None = None
        self._call = BackgroundCall(_scores, "Scoring symmetries")
        self.follow(self._call.ready, self.redraw)
        self.follow(self._call.failed, self._clear)
        self.when_closed(self._call.cancel)
        self.planes_choice = QComboBox()
        self.planes_choice.addItem("all biases", "all")
        self.planes_choice.addItem("this bias", "one")
        self.planes_choice.setToolTip(
            "<qt>Score the whole stack, each bias by its energy, or the bias on show.</qt>"
        )
        self.plot = ScorePlot()
        self.words = QLabel("Choose a kernel.")
        self.words.setWordWrap(True)
        options = QHBoxLayout()
        options.addWidget(QLabel("Full bars: supported by the data"), 1)
        options.addWidget(self.planes_choice)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.addLayout(options)
        column.addWidget(self.plot, 1)
        column.addWidget(self.words)
        self.planes_choice.currentIndexChanged.connect(self.redraw)

    def draw(self) -> None:
        """Score the kernel, or begin to."""
        data, stacked = self.inspection.data, self.inspection.is_stack("kernel")
        self.planes_choice.setVisible(stacked)
        if data.kernel.image is None:
            self._clear("Choose a kernel.")
            return
        scores = self._call.get(
            data.kernel.image, data.kernel.std, data.kernel.draws, self._index()
        )
        if scores is None:
            self._clear("The symmetries are being scored…")
            return
        self.scores = scores
        name = data.kernel.name if self._index() < 0 else self.inspection.title("kernel")
        if stacked and self._index() < 0:
            name += ", all biases"
        self.plot.show_scores(scores, f"Symmetry of {name}")
        supported = [operation for operation, found in scores.supported.items() if found]
        words = f"Supported: {', '.join(supported)}." if supported else "No symmetry is supported."
        self.words.setText(f"{words} m is a mirror, with the angle of its line in degrees.")
        lines = "<br>".join(map(escape, scores.summary().splitlines()))
        self.words.setToolTip(f"<qt>{lines}</qt>")
        self.plot.setToolTip(f"<qt>{lines}</qt>")

    def _clear(self, reason: str) -> None:
        """Draw nothing, and say why."""
        self.scores = None
        self.words.setText(reason)
        self.words.setToolTip("")
        self.plot.clear()

    def draw_bias(self) -> None:
        """Score the plane of another bias, where but one is scored."""
        if self._index() >= 0:
            self.draw()

    def _index(self) -> int:
        """Return the plane that is scored, -1 for all."""
        if self.planes_choice.currentData() == "all" or not self.inspection.is_stack("kernel"):
            return -1
        return self.inspection.index("kernel")

    # -- ways out -----------------------------------------------------------------------------

    def export(self) -> list[xr.DataArray | xr.Dataset]:
        """Return the scores and those of noise."""
        return [] if self.scores is None else [self.scores.table()]

    def figures(self) -> list[FigurePanel]:
        """Return the figure of the scores."""
        return [] if self.scores is None else [make_panel("symmetry", self.scores)]

    def script(self) -> str:
        """Write the lines that score."""
        if self.scores is None:
            return ""
        kernel = "kernel" if self._index() < 0 else plane_code(self.inspection, "kernel")
        known = self.inspection.data.kernel
        arguments = [kernel]
        if known.std is not None:
            arguments.append(f"std={kernel.replace('kernel', 'std')}")
        if known.draws is not None:
            arguments.append(f"draws={kernel.replace('kernel', 'draws')}")
        call = f"qk.inspect.symmetry_scores({', '.join(arguments)})"
        return f"scores = {call}\nprint(scores.summary())"


def _scores(
    kernel: xr.DataArray, std: xr.DataArray | None, draws: xr.DataArray | None, index: int
) -> inspect.SymmetryScores:
    """Score a kernel, or one of its planes."""
    if index >= 0:
        kernel, std = kernel[index], None if std is None else std[index]
        draws = None if draws is None else draws[:, index]
    return inspect.symmetry_scores(kernel.compute(), std=std, draws=draws)
