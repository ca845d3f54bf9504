"""`ExportButtons`: an extraction as a Python script, as a file or as a report."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_qpi.tasks.extraction import ExtractionInput
from napari_qpi.tasks.job import Job, JobState
from napari_qpi.tasks.save_kernel import KERNEL_FILES, save_shown_kernel
from napari_qpi.tasks.scripts.extraction import python_script, unsaved_observation
from napari_qpi.widgets.common.export import ask_save_path, copy_script
from qpi_kernels.progress import Event
from qpi_kernels.result import KernelResult

__all__ = ["ExportButtons"]

_REPORT_FILES = "Web page, opens anywhere (*.html);;PDF (*.pdf)"


class ExportButtons(QWidget):
    """Export the last extraction as a script, a file or a report.

    Attributes
    ----------
    status : Signal(str)
        Text for display.
    """

    status = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._task: ExtractionInput | None = None
        self._result: KernelResult | None = None
        self.copy_button = QPushButton("Copy as Python")
        self.copy_button.setToolTip(
            "<qt>Put a script on the clipboard that gives the same kernel without napari.</qt>"
        )
        self.save_button = QPushButton("Save kernel…")
        self.report_button = QPushButton("Save report…")
        self.report_button.setToolTip(
            "<qt>Maps, kernel, spectra, symmetry, dispersion, trust, provenance in one file.</qt>"
        )
        self._buttons = (self.copy_button, self.save_button, self.report_button)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for button in self._buttons:
            button.setEnabled(False)
            row.addWidget(button)
        self.report_job = Job()
        job = self.report_job
        self._followed = (
            (job.state_changed, self._on_report_state),
            (job.progressed, self._on_report_event),
            (job.succeeded, self._on_report),
            (job.failed, self._on_report_failure),
        )
        for signal, slot in self._followed:
            signal.connect(slot)
        self.copy_button.clicked.connect(self.copy_as_python)
        self.save_button.clicked.connect(self._ask_save)
        self.report_button.clicked.connect(self._ask_report)

    def disconnect_events(self) -> None:
        """Stop the report, which nobody could cancel any more."""
        for signal, slot in self._followed:
            signal.disconnect(slot)
        self.report_job.cancel()

    def show_result(self, task: ExtractionInput, result: KernelResult) -> None:
        """Take the extraction that is to be exported."""
        self._task, self._result = task, result
        for button in self._buttons:
            button.setEnabled(True)

    def clear(self) -> None:
        """Forget the extraction, so that nothing of an earlier image is exported."""
        self._task = self._result = None
        for button in self._buttons:
            button.setEnabled(button is self.report_button and self.report_job.state.busy)

    def script(self, array_path: str | None = None) -> str:
        """Write the Python script of the last extraction; see `python_script`."""
        if self._task is None or self._result is None:
            return ""
        return python_script(self._task, array_path=array_path, expected=self._result.provenance)

    def copy_as_python(self) -> None:
        """Put the script on the clipboard; data that came from no scan file are saved first."""
        if self._task is not None:
            unsaved = unsaved_observation(self._task)
            self.status.emit(copy_script(self, self.script, unsaved, "observation.npy"))

    def save_kernel(self, path: str | Path) -> list[Path]:
        """Save the last result; see `qpi_kernels.kernel_files.save_kernel`."""
        return [] if self._result is None else save_shown_kernel(self._result, path)

    def _ask_save(self) -> None:
        """Ask for a file and save the kernel there."""
        path = ask_save_path(self, "Save kernel", "kernel", KERNEL_FILES)
        if not path:
            return
        try:
            saved = self.save_kernel(path)
        except (OSError, ValueError) as error:
            self.status.emit(f"Not saved: {error}")
        else:
            self.status.emit("Saved " + ", ".join(file.name for file in saved) + ".")

    def save_report(self, path: str | Path) -> None:
        """Start to write the report of the last result, ``.html`` or ``.pdf``, in the background.

        The report's script is the one of `copy_as_python`.
        """
        from qpi_kernels.inspect.report.report import Report, ReportWriting

        if self._result is None or self.report_job.state.busy:
            return
        report = Report(self._result, script=self.script())
        self.report_job.start(partial(ReportWriting, report, path))

    def _ask_report(self) -> None:
        """Ask for a file and write the report there, or stop the one under way."""
        if self.report_job.state.busy:
            self.report_job.cancel()
            return
        path = ask_save_path(self, "Save report", "report", _REPORT_FILES)
        if path:
            self.save_report(path)

    def _on_report_state(self, state: JobState) -> None:
        """Make the button one that cancels while a report is written."""
        self.report_button.setText("Cancel report" if state.busy else "Save report…")
        self.report_button.setEnabled(state is JobState.RUNNING or self._result is not None)
        if state is JobState.CANCELLED:
            self.status.emit("The report was cancelled; no file was written.")

    def _on_report_event(self, event: Event) -> None:
        """Tell how far it is."""
        share = "" if event.fraction is None else f" ({100 * event.fraction:.0f} %)"
        self.status.emit(f"{event.message}{share}")

    def _on_report(self, path: Any) -> None:
        """Tell that it is there."""
        self.status.emit(f"Saved {path.name}.")

    def _on_report_failure(self, error: Exception) -> None:
        """Tell why there is none."""
        self.status.emit(f"Not saved: {error}")
