"""`MapPlanBox`: what the next map will tell, and where and how long to measure it."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_qpi.tasks.extraction import ExtractionInput
from napari_qpi.tasks.planning.map_plan import MapPlanInput, save_planned_tour
from napari_qpi.widgets.common.export import ask_save_path
from napari_qpi.widgets.common.parameter_form import ParameterForm
from qpi_kernels.extraction.planning.parameters import MapProposalParameters

if TYPE_CHECKING:
    from qpi_kernels.extraction.planning.map_plan import MapPlan
    from qpi_kernels.extraction.planning.proposal import MapProposal

__all__ = ["MapPlanBox"]

_FIELDS = [name for name in MapProposalParameters.model_fields if name != "pixel_nm"]
# Others, a family or a file, are typed.
_PRIORS = [("As this image", None), ("Any simulated kernel", "library")]
_COLUMNS = {
    "Pixel (nm)": "Pixel pitch of the map.",
    "Pixels": "Size of the map.",
    "s per pixel": "Integration time of a pixel for the wanted error.",
    "Time (h)": "Time of the whole map for the wanted error, without the tip's moves.",
    "Error now": "Error of the kernel with the topograph's own time per pixel.",
    "+1 h": "Change of that error for one more hour.",
}


class MapPlanBox(QWidget):
    """Entries of a plan, its button, and its result.

    Attributes
    ----------
    plan_button : QPushButton
        Starts the plan.
    status : Signal(str)
        Text for display.
    """

    status = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[MapProposal, MapPlanInput] | None = None
        self.form = ParameterForm(
            MapProposalParameters, _FIELDS, {"prior": _PRIORS}, spin_boxes=True
        )
        self.plan_button = QPushButton("Plan a map")
        self.plan_button.setToolTip(
            "<qt>From this image and its defects: where to scan, with which pixels, for how long. "
            "Maps as they will be are simulated from the kernel that this image shows, and their "
            "kernels extracted.</qt>"
        )
        self.tour_button = QPushButton("Save tour…")
        self.tour_button.setToolTip("<qt>Positions of the pixels in nm, in their order.</qt>")
        self.tour_button.setEnabled(False)
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setVisible(False)
        self.table = _table()
        self._lay_out()
        self.tour_button.clicked.connect(self._ask_tour)

    def _lay_out(self) -> None:
        """Lay out the entries, the buttons and the result."""
        buttons = QHBoxLayout()
        buttons.addWidget(self.plan_button)
        buttons.addWidget(self.tour_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.form)
        column.addLayout(buttons)
        column.addWidget(self.words)
        column.addWidget(self.table)

    def plan_of(self, task: ExtractionInput) -> MapPlanInput:
        """Take what was entered for a plan from an image.

        Raises
        ------
        ValidationError
            If an entry is out of its range.
        """
        return MapPlanInput(task, MapProposalParameters.model_validate(self.form.values()))

    def show_proposal(self, proposal: MapProposal, plan: MapPlanInput) -> None:
        """Show a plan."""
        self._shown = proposal, plan
        self.tour_button.setEnabled(True)
        self.words.setText(proposal.best.in_words())
        self.words.setVisible(True)
        self.table.setRowCount(len(proposal.plans))
        for row, one in enumerate(proposal.plans):
            for column, text in enumerate(plan_row(proposal, one)):
                self.table.setItem(row, column, QTableWidgetItem(text))
        header = self.table.horizontalHeader()
        assert header is not None
        height = sum(self.table.rowHeight(row) for row in range(len(proposal.plans)))
        self.table.setFixedHeight(height + header.sizeHint().height() + 2 * self.table.frameWidth())
        self.table.setVisible(True)

    def clear(self) -> None:
        """Forget the plan of an earlier image."""
        self._shown = None
        self.tour_button.setEnabled(False)
        self.words.setVisible(False)
        self.table.setVisible(False)

    def save_tour(self, path: str | Path) -> Path | None:
        """Save the tour of the plan on show."""
        if self._shown is None:
            return None
        return save_planned_tour(*self._shown, path)

    def _ask_tour(self) -> None:
        """Ask for a file and save the tour there."""
        path = ask_save_path(self, "Save tour", "tour", "Tours (*.csv)")
        if not path:
            return
        try:
            self.save_tour(path)
        except OSError as error:
            self.status.emit(f"Not saved: {error}")
        else:
            self.status.emit(f"Saved {Path(path).name}.")


def plan_row(proposal: MapProposal, one: MapPlan) -> list[str]:
    """Word the numbers of one pitch."""
    hours = one.hours_for(proposal.wanted_error)
    reached = isfinite(hours)
    rows, columns = one.shape
    return [
        f"{one.pixel_nm:.3g}",
        f"{rows} x {columns}" if one.pixels == rows * columns else str(one.pixels),
        f"{proposal.time_per_pixel_s(one):.3g}" if reached else "never",
        f"{hours:.3g}" if reached else "never",
        f"{100 * one.error:.2g} %",
        f"{-100 * one.gain_of(1.0):.0f} %",
    ]


def _table() -> QTableWidget:
    """Make the table of pitches, hidden until there is something to show."""
    table = QTableWidget(0, len(_COLUMNS))
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
    table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    for column, (title, meaning) in enumerate(_COLUMNS.items()):
        item = QTableWidgetItem(title)
        item.setToolTip(f"<qt>{meaning}</qt>")
        table.setHorizontalHeaderItem(column, item)
    rows, header = table.verticalHeader(), table.horizontalHeader()
    assert rows is not None
    assert header is not None
    rows.setVisible(False)
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    table.setVisible(False)
    return table
