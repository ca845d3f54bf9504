"""`ComparisonTable`: the methods of a comparison and their numbers."""

from __future__ import annotations

from html import escape
from math import isfinite

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_qpi.tasks.method_comparison import Comparison, MethodRun
from napari_qpi.widgets.extract.quality_summary import number_range, percent_range

__all__ = ["ComparisonTable", "comparison_row"]

_COLUMNS = {
    "Method": "",
    "R²": (
        "Share of the variance of left-out pixels that the method predicts from the rest of the "
        "map, within the kernel windows. Noise counts as not predicted. It needs no known kernel, "
        "and what a method assumes does not flatter it."
    ),
    "Residual χ²": "Variance of the residual over that of pixel noise; 1: white noise.",
    "Explained": "Share of the map's variance that kernel, defects and background explain.",
    "Error": (
        "Expected error: the kernel's standard deviation over the kernel itself (rms), as the "
        "method estimates it. It knows nothing of what the method assumes."
    ),
    "Time (s)": "How long the method took, in seconds.",
}
_NO_NUMBER = "–"  # noqa: RUF001


class ComparisonTable(QTableWidget):
    """One row per method; hidden until there is something to show."""

    def __init__(self) -> None:
        super().__init__(0, len(_COLUMNS))
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        for column, (title, meaning) in enumerate(_COLUMNS.items()):
            item = QTableWidgetItem(title)
            item.setToolTip(f"<qt>{meaning}</qt>" if meaning else "")
            self.setHorizontalHeaderItem(column, item)
        rows, header = self.verticalHeader(), self.horizontalHeader()
        assert rows is not None
        assert header is not None
        rows.setVisible(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        self.setVisible(False)

    def show_comparison(self, comparison: Comparison) -> None:
        """Show what each method gave."""
        runs, validation = comparison.runs, comparison.validation
        scores = {} if validation is None else validation.scores
        self.setRowCount(len(runs))
        for row, run in enumerate(runs):
            texts = comparison_row(run)
            score = scores.get(run.method)
            predicted = _NO_NUMBER if score is None else f"{score.r_squared:.4f}"
            for column, text in enumerate((texts[0], predicted, *texts[1:])):
                item = QTableWidgetItem(text)
                item.setToolTip(f"<qt>{escape(run.reason)}</qt>" if run.reason else "")
                self.setItem(row, column, item)
        header = self.horizontalHeader()
        assert header is not None
        height = sum(self.rowHeight(row) for row in range(len(runs)))
        self.setFixedHeight(height + header.sizeHint().height() + 2 * self.frameWidth())
        self.setVisible(bool(runs))

    def clear_runs(self) -> None:
        """Forget the last comparison and hide."""
        self.setRowCount(0)
        self.setVisible(False)


def comparison_row(run: MethodRun) -> tuple[str, str, str, str, str]:
    """Give the texts of a method: name, chi-squared, explained, expected error, seconds.

    The error of a kernel that the data do not determine is called so.
    """
    seconds = f"{run.seconds:.1f}"
    if run.result is None:
        return run.title, "failed", _NO_NUMBER, _NO_NUMBER, seconds
    quality = run.result.quality
    error = f"{run.expected_error:.1%}" if isfinite(run.expected_error) else _NO_NUMBER
    if quality.trust == "undetermined":
        error = quality.trust
    return (
        run.title,
        number_range(quality.reduced_chi2),
        percent_range(quality.r_squared),
        error,
        seconds,
    )
