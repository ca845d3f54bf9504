"""`ExportButtons`: an extraction as a Python script or as a file."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_qpi.tasks.extraction import ExtractionInput
from napari_qpi.tasks.save_kernel import KERNEL_FILES, save_shown_kernel
from napari_qpi.tasks.scripts.extraction import python_script, unsaved_observation
from napari_qpi.widgets.common.export import ask_save_path, copy_script
from qpi_kernels.result import KernelResult

__all__ = ["ExportButtons"]


class ExportButtons(QWidget):
    """Export the last extraction as a script or a file.

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
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for button in (self.copy_button, self.save_button):
            button.setEnabled(False)
            row.addWidget(button)
        self.copy_button.clicked.connect(self.copy_as_python)
        self.save_button.clicked.connect(self._ask_save)

    def show_result(self, task: ExtractionInput, result: KernelResult) -> None:
        """Take the extraction that is to be exported."""
        self._task, self._result = task, result
        for button in (self.copy_button, self.save_button):
            button.setEnabled(True)

    def clear(self) -> None:
        """Forget the extraction, so that nothing of an earlier image is exported."""
        self._task = self._result = None
        for button in (self.copy_button, self.save_button):
            button.setEnabled(False)

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
