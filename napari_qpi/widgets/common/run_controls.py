"""`RunControls`: the run and cancel buttons and the progress bar of a job."""

from __future__ import annotations

from qtpy.QtWidgets import (
    QApplication,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QWidget,
)

from napari_qpi.tasks.job import JobState
from qpi_kernels.progress import Event

__all__ = ["BusyRow", "FocusLoan", "ProgressPanel", "RunControls"]

_WORDS = {
    JobState.CANCELLING: "Stopping after this step…",
    JobState.CANCELLED: "Cancelled; nothing was changed.",
}


class FocusLoan:
    """Lend the focus of a pressed button to the cancel button while the pressed one is disabled.

    Else Qt gives the focus to the next widget that takes it, and the dock scrolls there.

    Parameters
    ----------
    cancel : QPushButton
        The cancel button, enabled before `take` and until `give_back`.
    """

    def __init__(self, cancel: QPushButton) -> None:
        self._cancel = cancel
        self._pressed: QPushButton | None = None

    def take(self, scope: QWidget | None) -> None:
        """Take the focus from a button within a widget."""
        focused = QApplication.focusWidget()
        if scope is None or focused is self._cancel or not isinstance(focused, QPushButton):
            return
        if scope.isAncestorOf(focused):
            self._pressed = focused
            self._cancel.setFocus()

    def give_back(self, otherwise: QPushButton) -> None:
        """Give the focus back to the pressed button, or to another one while it is disabled."""
        pressed, self._pressed = self._pressed, None
        if pressed is not None and self._cancel.hasFocus():
            (pressed if pressed.isEnabled() else otherwise).setFocus()


class BusyRow(QWidget):
    """A bar without a range and a cancel button, shown while a short computation runs."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bar = QProgressBar()
        self.bar.setRange(0, 0)
        self.bar.setTextVisible(False)
        self.cancel_button = QPushButton("Cancel")
        self._focus = FocusLoan(self.cancel_button)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel_button)
        self.hide()

    def show_busy(self) -> None:
        """Show the row; call this before the buttons are disabled."""
        self.show()
        self._focus.take(self.parentWidget())

    def show_idle(self, otherwise: QPushButton) -> None:
        """Hide the row; call this once the buttons are enabled again."""
        self._focus.give_back(otherwise)
        self.hide()


class ProgressPanel(QWidget):
    """Rows of two buttons, with a progress bar and a line of text below them.

    Parameters
    ----------
    rows : pairs of QPushButton
        The buttons.
    """

    def __init__(
        self, *rows: tuple[QPushButton, QPushButton], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.bar = QProgressBar()
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.grid = QGridLayout(self)
        self.grid.setContentsMargins(0, 0, 0, 0)
        for row, buttons in enumerate(rows):
            for column, button in enumerate(buttons):
                self.grid.addWidget(button, row, column)
        self.grid.addWidget(self.bar, len(rows), 0, 1, 2)
        self.grid.addWidget(self.status, len(rows) + 1, 0, 1, 2)

    def show_status(self, text: str) -> None:
        """Show a text below the bar."""
        self.status.setText(text)


class RunControls(ProgressPanel):
    """Shows a job; every button and text follows from the job's state.

    Parameters
    ----------
    title : str
        Text of the run button.
    """

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        run, cancel = QPushButton(title), QPushButton("Cancel")
        super().__init__((run, cancel), parent=parent)
        self._missing = self._passing = ""
        self.run_button, self.cancel_button = run, cancel
        self._focus = FocusLoan(cancel)
        self.grid.setColumnStretch(0, 2)
        self.grid.setColumnStretch(1, 1)
        self.show_state(JobState.IDLE)

    def show_ready(self, state: JobState, missing: str) -> None:
        """Say what a run still needs; nothing missing makes it ready."""
        outdated = self.status.text() in ("", self._missing, self._passing)
        if not state.busy and (outdated or (missing and missing != self._missing)):
            self.show_status(missing)
        self._missing = missing
        self.run_button.setToolTip(missing)
        self.run_button.setEnabled(not missing and not state.busy)

    def show_passing(self, text: str) -> None:
        """Show a text below the bar until the next change."""
        self._passing = text
        self.show_status(text)

    def show_state(self, state: JobState) -> None:
        """Follow `Job.state_changed`."""
        if state is JobState.RUNNING:
            self.cancel_button.setEnabled(True)
            self._focus.take(self.parentWidget())
        self.run_button.setEnabled(not self._missing and not state.busy)
        if not state.busy:
            self._focus.give_back(self.run_button)
        # While it stops, too: it has the focus, and pressing it again does no harm.
        self.cancel_button.setEnabled(state.busy)
        self.bar.setVisible(state.busy)
        if state is JobState.RUNNING:
            # No range: Qt shows that something goes on until the first event brings a total.
            self.bar.setRange(0, 0)
            self.bar.setFormat("starting")
            self.show_status("Starting…")
        elif state in _WORDS:
            self.show_status(_WORDS[state])

    def show_event(self, event: Event) -> None:
        """Follow `Job.progressed`."""
        self.bar.setRange(0, event.total)
        self.bar.setValue(min(event.step, event.total))
        self.bar.setFormat("%p %")
        self.show_status(" · ".join(filter(None, (event.message, event.time_left))))
