"""`StepRow`: one step of a list, with its switch, its buttons and its form."""

from __future__ import annotations

import inspect
from html import escape

from pydantic import ValidationError
from qtpy.QtCore import QPointF, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
)
from superqt import QElidingLabel

from napari_qpi.widgets.common.parameter_form import ParameterForm, explain
from qpi_kernels.prepare import Step

__all__ = ["StepRow", "first_line", "step_title"]

_INDENT = 20


def step_title(step: type[Step]) -> str:
    """Write a step's name for people: "Correct drift"."""
    return step.name().replace("_", " ").capitalize()


def first_line(step: type[Step]) -> str:
    """Return the first line of a step's docstring."""
    return (inspect.getdoc(step) or "").partition("\n")[0]


class StepRow(QFrame):
    """One step, which can be switched off, moved, removed and unfolded.

    Parameters
    ----------
    step : Step
        The step with its parameters.
    on : bool
        Whether it is done.

    Attributes
    ----------
    changed : Signal()
        Switched, or another parameter.
    removed : Signal()
        The user wants it away.
    moved : Signal(int)
        The user wants it so many places further down.
    dragged : Signal(QPointF)
        The user drags it; where the mouse is on the screen.
    """

    changed = Signal()
    removed = Signal()
    moved = Signal(int)
    dragged = Signal(QPointF)

    def __init__(self, step: Step, on: bool = True) -> None:
        super().__init__()
        self._step = step
        self.problem = ""
        self._wrong = False
        self.setFrameShape(QFrame.Shape.StyledPanel)
        kind = type(step)
        self.switch = QCheckBox(step_title(kind))
        self.switch.setChecked(on)
        self.switch.setToolTip(f"<qt>{first_line(kind)}</qt>")
        self.switch.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.unfold_button = _button("▸", "Parameters of this step.")
        self.unfold_button.setCheckable(True)
        self.up_button = _button("▲", "Do this step earlier.")
        self.down_button = _button("▼", "Do this step later.")
        self.remove_button = _button("✕", "Remove this step.")
        self.form: ParameterForm[Step] = ParameterForm(kind, kind.model_fields, spin_boxes=True)
        self.note = QElidingLabel()
        self.note.setTextFormat(Qt.TextFormat.PlainText)
        line = QHBoxLayout()
        line.setSpacing(2)
        line.addWidget(_Handle(self))
        line.addWidget(self.switch, 1)
        for button in (self.unfold_button, self.up_button, self.down_button, self.remove_button):
            line.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 2, 4, 2)
        column.setSpacing(2)
        column.addLayout(line)
        for widget in (self.note, self.form):
            widget.setVisible(False)
            indented = QHBoxLayout()
            indented.addSpacing(_INDENT)
            indented.addWidget(widget, 1)
            column.addLayout(indented)
        self.unfold_button.setVisible(bool(kind.model_fields))
        self._show_values()
        self.switch.toggled.connect(self.changed)
        self.form.changed.connect(self._read)
        self.unfold_button.toggled.connect(self.unfold)
        self.up_button.clicked.connect(lambda: self.moved.emit(-1))
        self.down_button.clicked.connect(lambda: self.moved.emit(1))
        self.remove_button.clicked.connect(self.removed)

    @property
    def step(self) -> Step:
        """The step; while an entry is wrong, with the parameters before."""
        return self._step

    @step.setter
    def step(self, step: Step) -> None:
        self._step = step
        self._show_values()
        self._show_problem("")

    @property
    def on(self) -> bool:
        """True if the step is done."""
        return bool(self.switch.isChecked())

    def unfold(self, unfolded: bool) -> None:
        """Show or hide the form."""
        self.unfold_button.setChecked(unfolded)
        self.unfold_button.setText("▾" if unfolded else "▸")
        self.form.setVisible(unfolded)
        self._show_whole_note()

    def show_note(self, text: str, *, wrong: bool = False) -> None:
        """Show below the name what the step found, or why it failed."""
        if self.problem:
            text, wrong = self.problem, True
        self.note.setText(text)
        self.note.setStyleSheet("color: #e0605a" if wrong else "color: gray")
        self.note.setVisible(bool(text))
        self.note.setToolTip(f"<qt>{escape(text)}</qt>")
        self._wrong = wrong
        self._show_whole_note()

    def _show_whole_note(self) -> None:
        """Give the note one line as long as nothing is wrong and the step is folded."""
        self.note.setWordWrap(self._wrong or bool(self.unfold_button.isChecked()))

    def _show_values(self) -> None:
        """Fill the form in."""
        blocked = self.form.blockSignals(True)
        self.form.set_values(dict(self._step))
        self.form.blockSignals(blocked)

    def _read(self) -> None:
        """Take the entries over, or say what is wrong with them."""
        try:
            self._step = type(self._step).model_validate(self.form.values())
        except ValidationError as error:
            self._show_problem(explain(error))
        else:
            self._show_problem("")
        self.changed.emit()

    def _show_problem(self, problem: str) -> None:
        cleared = self.problem and not problem
        self.problem = problem
        if problem or cleared:
            self.show_note(problem)


class _Handle(QLabel):
    """The handle that a row is dragged by."""

    def __init__(self, row: StepRow) -> None:
        super().__init__("⠿")
        self._row = row
        self.setToolTip("<qt>Drag to change the order.</qt>")
        self.setCursor(Qt.CursorShape.SizeVerCursor)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        """Take the mouse."""
        if event is not None:
            event.accept()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 - Qt's name
        """Drag the row along."""
        if event is not None:
            self._row.dragged.emit(event.globalPosition())


def _button(text: str, help_text: str) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setToolTip(f"<qt>{help_text}</qt>")
    button.setAutoRaise(True)
    button.setFixedSize(22, 22)
    return button
