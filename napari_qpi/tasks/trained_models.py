"""The trained models that this session knows of, for every panel that offers a choice of models."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

from psygnal import SignalInstance
from qtpy.QtCore import QStandardPaths

__all__ = [
    "known_models",
    "models_changed",
    "models_in",
    "next_training_folder",
    "remember_model",
    "training_home",
    "usual_training_folder",
]

_MODEL_FOLDERS = ("model", "one_step_model")
_INDEX = "model_index.json"
_RUN = "run-"


models_changed = SignalInstance()
"""Emitted without arguments after `known_models` has grown."""

_remembered: list[Path] = []


def known_models(method: str | None = None) -> list[Path]:
    """Folders of trained models, the newest first.

    Parameters
    ----------
    method : str, optional
        ``two_step`` or ``one_step``: only the models that serve this method.

    Returns
    -------
    list of Path
        Those that were trained or chosen in this session, then those of earlier sessions in
        `training_home`. A folder that was deleted meanwhile is left out.
    """
    earlier = [model for run in reversed(_runs()) for model in models_in(run)]
    return [
        model
        for model in dict.fromkeys([*reversed(_remembered), *earlier])
        if (model / _INDEX).exists() and (method is None or _method(model) == method)
    ]


def remember_model(path: str | Path) -> None:
    """Put a model first among the known ones.

    Parameters
    ----------
    path : path-like
        The model's folder, with its ``model_index.json``.
    """
    model = Path(path).resolve()
    if model in _remembered:
        _remembered.remove(model)
    _remembered.append(model)
    models_changed.emit()


def models_in(folder: Path) -> list[Path]:
    """Model folders that a training left in its folder."""
    return [
        (folder / name).resolve() for name in _MODEL_FOLDERS if (folder / name / _INDEX).exists()
    ]


def training_home() -> Path:
    """Return where trainings go unless the user says otherwise: in the user's data folder."""
    place = QStandardPaths.StandardLocation.GenericDataLocation
    return Path(QStandardPaths.writableLocation(place)) / "napari-qpi" / "training"


def next_training_folder() -> Path:
    """Return the first folder of `training_home` after those in use; make nothing."""
    runs = _runs()
    numbers = count(_number(runs[-1]) + 1 if runs else 1)
    folders = (training_home() / f"{_RUN}{number}" for number in numbers)
    return next(folder for folder in folders if _is_free(folder))


def usual_training_folder() -> Path:
    """Return the last folder of `training_home` if no model came out of it yet, else the next."""
    runs = _runs()
    return runs[-1] if runs and not models_in(runs[-1]) else next_training_folder()


def _runs() -> list[Path]:
    found = training_home().glob(f"{_RUN}*")
    return sorted((run for run in found if _number(run) and _holds_run(run)), key=_number)


def _holds_run(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:  # a file, or a folder without permission
        return False


def _is_free(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _number(run: Path) -> int:
    digits = run.name.removeprefix(_RUN)
    return int(digits) if digits.isdecimal() else 0


def _method(model: Path) -> str | None:
    """Read the method that a model folder names; the rest is checked when it is loaded."""
    try:
        index = json.loads((model / _INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return index.get("method") if isinstance(index, dict) else None
