"""Ways out of a dock: a file that the user names, and a script on the clipboard."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import xarray as xr
from qtpy.QtWidgets import QApplication, QFileDialog, QWidget

__all__ = ["ARRAY_FILES", "ask_save_path", "copy_script", "save_array"]

ARRAY_FILES = "NumPy array (*.npy)"


def ask_save_path(parent: QWidget | None, title: str, name: str, kinds: str) -> str:
    """Ask for the file to save to.

    Parameters
    ----------
    parent : QWidget or None
        The dialog is over it.
    title, name : str
        Title of the dialog, and the name that it proposes.
    kinds : str
        Kinds of files as Qt takes them, such as ``"Defects (*.csv)"``.

    Returns
    -------
    str
        With an extension of these kinds: that of the chosen kind is added where the user gave
        none. Empty if the dialog was cancelled.
    """
    path, chosen = QFileDialog.getSaveFileName(parent, title, name, kinds)
    known = re.findall(r"\*(\.\w+)", kinds)
    if path and not path.lower().endswith(tuple(known)):
        path += (re.findall(r"\*(\.\w+)", chosen) or known)[0]
    return str(path)


def save_array(array: xr.DataArray, path: str) -> None:
    """Save the numbers of an array as ``.npy``, which a script loads."""
    np.save(path, np.asarray(array))


def copy_script(
    parent: QWidget,
    write: Callable[[str | None], str],
    unsaved: xr.DataArray | None = None,
    name: str = "",
) -> str:
    """Put a Python script on the clipboard, after an image that no scan file holds was saved.

    Parameters
    ----------
    parent : QWidget
        The dialog is over it.
    write : callable
        Called with the path of the saved image, or None; returns the script.
    unsaved : DataArray, optional
        The image to save. A script is copied, too, when the user does not save it.
    name : str
        Proposed for its file.

    Returns
    -------
    str
        A sentence for display: what was done, or why nothing was.
    """
    path = ""
    if unsaved is not None:
        title = "For the script: save the image, which no scan file holds"
        path = ask_save_path(parent, title, name, ARRAY_FILES)
    if path and unsaved is not None:
        try:
            save_array(unsaved, path)
        except OSError as error:
            return f"Not saved: {error}"
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    clipboard.setText(write(path or None))
    return "The script is on the clipboard."
