"""`WaysOut`: export what a panel draws as a figure, as numbers, or as a Python script."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import xarray as xr
from qtpy.QtWidgets import QApplication, QHBoxLayout, QPushButton, QWidget

from napari_qpi.tasks.inspection.panel_files import (
    FIGURE_KINDS,
    panel_notes,
    save_exports,
    save_figures,
)
from napari_qpi.tasks.scripts.inspection import (
    inspection_script,
    names_in,
    unsaved_kernel,
    unsaved_map,
)
from napari_qpi.widgets.common.export import ARRAY_FILES, ask_save_path, save_array
from napari_qpi.widgets.inspect.panel import Panel
from qpi_kernels.inspect import InspectionError

__all__ = ["WaysOut"]

_NUMBERS = "Numbers with units (*.csv)"


class WaysOut(QWidget):
    """Export what the panel in front draws.

    Parameters
    ----------
    front : callable
        Returns that panel, which says what was done.
    """

    def __init__(self, front: Callable[[], Panel]) -> None:
        super().__init__()
        self._front = front
        # What was saved for a script by the name of its file, and where.
        self._saved: dict[str, tuple[object, str]] = {}
        self.figure_button = QPushButton("Figure…")
        self.figure_button.setToolTip(
            "<qt>Save what this panel draws as PDF, SVG or PNG in a journal's column width, with "
            "its numbers as CSV beside it.</qt>"
        )
        self.numbers_button = QPushButton("Numbers…")
        self.numbers_button.setToolTip("<qt>Save what this panel draws as CSV, with units.</qt>")
        self.copy_button = QPushButton("Copy as Python")
        self.copy_button.setToolTip(
            "<qt>Put a script on the clipboard that computes the same numbers without napari. "
            "Where no file holds the map or the kernel, a file is asked for first.</qt>"
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for button in (self.figure_button, self.numbers_button, self.copy_button):
            row.addWidget(button)
        self.figure_button.clicked.connect(lambda: self._ask_save("Save figure", FIGURE_KINDS))
        self.numbers_button.clicked.connect(lambda: self._ask_save("Save numbers", _NUMBERS))
        self.copy_button.clicked.connect(self.copy_as_python)

    def save(self, path: str | Path) -> list[Path]:
        """Save what the panel in front draws: as figures, or as numbers where it ends in .csv."""
        panel, path = self._front(), Path(path)
        notes = panel_notes(panel.inspection)
        if path.suffix.lower() == ".csv":
            return save_exports(panel.export(), path, panel.title, notes)
        return save_figures(panel.figures(), path, notes)

    def script(self, map_path: str | None = None, kernel_path: str | None = None) -> str:
        """Write the script of the panel in front, empty where it draws nothing."""
        panel = self._front()
        body = panel.script()
        if not body:
            return ""
        inspection, title = panel.inspection, f"Compute {panel.title} again"
        return inspection_script(
            inspection, body, title, map_path=map_path, kernel_path=kernel_path
        )

    def copy_as_python(self) -> None:
        """Put the script on the clipboard, after what no file holds was saved once."""
        panel = self._front()
        used = names_in(panel.script())
        if not used:
            panel.say("This panel draws nothing yet; the clipboard is as it was.")
            return
        data, paths = panel.inspection.data, {}
        try:
            unsaved = unsaved_map(data)
            if unsaved is not None and "observation" in used:
                paths["map_path"] = self._save_array(unsaved, "map")
            needs_kernel = used & {"kernel", "std", "residual"} or data.map.of_result
            if unsaved_kernel(data) and needs_kernel:
                paths["kernel_path"] = self._save_kernel()
        except OSError as error:
            panel.say(f"Not copied, because what the script reads was not saved: {error}")
            return
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(self.script(**{name: path or None for name, path in paths.items()}))
        missing = not all(paths.values())
        note = ", but the data that it reads still have to be saved" if missing else ""
        panel.say(f"The script is on the clipboard{note}.")

    def _save_once(
        self, shown: object, write: Callable[[str], object], name: str, kinds: str
    ) -> str:
        """Return the file of an array or a result; ask for one if none is known that exists."""
        known, saved = self._saved.get(name, (None, ""))
        if known is shown and Path(saved).exists():
            return saved
        title = f"For the script: save the {Path(name).stem}, which no file holds"
        path = ask_save_path(self, title, name, kinds)
        if path:
            write(path)
            self._saved[name] = shown, path
        return path

    def _save_array(self, array: xr.DataArray, name: str) -> str:
        """Save an array that came from no file."""
        write = partial(save_array, array)
        return self._save_once(array, write, f"{name}.npy", ARRAY_FILES)

    def _save_kernel(self) -> str:
        """Save the kernel with all that it was extracted from."""
        kernel = self._front().inspection.data.kernel
        if kernel.result is None:
            assert kernel.image is not None
            return self._save_array(kernel.image, "kernel")
        return self._save_once(kernel.result, kernel.result.save, "kernel.nc", "Kernel (*.nc)")

    def _ask_save(self, title: str, kinds: str) -> None:
        """Ask for a file and save what the panel draws."""
        panel = self._front()
        if not panel.export():
            panel.say("This panel draws nothing yet.")
            return
        name = re.sub(r"\W+", "_", panel.title).strip("_").lower() or "figure"
        path = ask_save_path(self, title, name, kinds)
        if not path:
            return
        try:
            saved = self.save(path)
        except (OSError, InspectionError, ValueError) as error:
            panel.say(f"Not saved: {error}")
        else:
            panel.say(_saved_in_words(saved))


def _saved_in_words(saved: list[Path]) -> str:
    """Say which files were written, the figure first, and where."""
    names = [file.name for file in saved]
    tables = ", ".join(name for name in names if name.endswith(".csv"))
    figure = "" if names[0].endswith(".csv") else f"{names[0]}, and its numbers in "
    return f"Saved {figure}{tables} to {saved[0].parent}."
