"""`FolderEdit`: a folder to write to."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget

__all__ = ["FolderEdit"]


class FolderEdit(QWidget):
    """A line for a folder, and a button that asks for it.

    Attributes
    ----------
    changed : Signal()
        Another folder was chosen.
    """

    changed = Signal()

    def __init__(self, folder: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.line = QLineEdit()
        self.button = QPushButton("…")
        self.button.setToolTip("Choose a folder.")
        self.button.setMaximumWidth(32)
        self._folder = folder
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line)
        row.addWidget(self.button)
        self._show()
        self.line.editingFinished.connect(self._on_edited)
        self.button.clicked.connect(self._ask)

    def value(self) -> Path:
        """Return the folder."""
        return self._folder

    def set_value(self, folder: Path) -> None:
        """Choose a folder."""
        changed = folder != self._folder
        self._folder = folder
        self._show()
        if changed:
            self.changed.emit()

    def _show(self) -> None:
        self.line.setText(str(self._folder))
        # The end of a long path says more than its beginning.
        self.line.end(False)
        self.line.setToolTip(str(self._folder))

    def _on_edited(self) -> None:
        text = self.line.text().strip()
        if text:
            self.set_value(Path(text).expanduser())
        else:
            self._show()

    def _ask(self) -> None:
        found = QFileDialog.getExistingDirectory(self, "Folder of the training", str(self._folder))
        if found:
            self.set_value(Path(found))
