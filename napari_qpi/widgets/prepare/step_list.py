"""`StepList`: the steps of a preparation, in their order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from qtpy.QtCore import QPointF, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_qpi.widgets.prepare.step_row import StepRow
from qpi_kernels.prepare import Step

__all__ = ["ListedStep", "StepList"]

ListedStep = tuple[Step, bool]
"""A step, and whether it is done."""


class StepList(QWidget):
    """Rows of steps to add, remove, order and switch.

    Attributes
    ----------
    changed : Signal()
        Another step, order, switch or parameter.
    rows : list of StepRow
        From the first step to the last.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[StepRow] = []
        self._empty = QLabel("No steps yet: choose a preset, Suggest, or Add.")
        self._empty.setWordWrap(True)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(3)
        self._column.addWidget(self._empty)

    @property
    def listed(self) -> tuple[ListedStep, ...]:
        """All steps, each with whether it is done."""
        return tuple((row.step, row.on) for row in self.rows)

    @listed.setter
    def listed(self, steps: Sequence[ListedStep]) -> None:
        """Show other steps; rows of the same kinds stay as they are unfolded."""
        kept = [type(row.step) for row in self.rows] == [type(step) for step, _ in steps]
        blocked = self.blockSignals(True)
        if not kept:
            for row in self.rows:
                self._column.removeWidget(row)
                row.deleteLater()
            self.rows = []
            for step, on in steps:
                self._insert(StepRow(step, on))
        for row, (step, on) in zip(self.rows, steps, strict=True):
            row.switch.setChecked(on)
            if row.step != step or row.problem:
                row.step = step
        self.blockSignals(blocked)
        self._on_changed()

    @property
    def steps(self) -> list[Step]:
        """The steps that are done."""
        return [row.step for row in self.rows if row.on]

    @property
    def problem(self) -> str:
        """The fault of an entry of a step that is done; empty if there is none."""
        return next((row.problem for row in self.rows if row.on and row.problem), "")

    def add(self, step: Step) -> StepRow:
        """Add a step at the end."""
        row = StepRow(step)
        self._insert(row)
        row.unfold(bool(type(step).model_fields))
        self._on_changed()
        return row

    def remove(self, row: StepRow) -> None:
        """Remove a step."""
        self.rows.remove(row)
        self._column.removeWidget(row)
        row.setParent(None)
        row.deleteLater()
        self._on_changed()

    def place(self, row: StepRow, place: int) -> None:
        """Move a step to another place of the order, counted from 0."""
        place = min(max(place, 0), len(self.rows) - 1)
        if self.rows[place] is row:
            return
        self.rows.remove(row)
        self.rows.insert(place, row)
        self._column.insertWidget(place, row)
        self._on_changed()

    def show_notes(self, notes: Iterable[tuple[str, bool]]) -> None:
        """Show a line for each step that is done, and whether it failed; others say nothing."""
        notes = iter(notes)
        for row in self.rows:
            text, wrong = next(notes, ("", False)) if row.on else ("", False)
            row.show_note(text, wrong=wrong)

    def _insert(self, row: StepRow) -> None:
        """Put a new row at the end."""
        self._column.insertWidget(len(self.rows), row)
        self.rows.append(row)
        row.changed.connect(self._on_changed)
        row.removed.connect(partial(self.remove, row))
        row.moved.connect(lambda places, row=row: self.place(row, self.rows.index(row) + places))
        row.dragged.connect(partial(self._on_dragged, row))

    def _on_dragged(self, row: StepRow, position: QPointF) -> None:
        """Let a dragged row change places with the one whose middle the mouse has passed."""
        y = self.mapFromGlobal(position.toPoint()).y()
        others = [each for each in self.rows if each is not row]
        self.place(row, sum(each.geometry().center().y() < y for each in others))

    def _on_changed(self) -> None:
        self._empty.setVisible(not self.rows)
        for row in self.rows:
            row.up_button.setEnabled(row is not self.rows[0])
            row.down_button.setEnabled(row is not self.rows[-1])
        self.changed.emit()
