"""Recipes: lists of steps as JSON files, in the form of `Prepared.history`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qpi_kernels.prepare.prepared import PreparationError
from qpi_kernels.prepare.registry import known_steps
from qpi_kernels.prepare.step import Step

__all__ = ["entry_of", "read", "step_of", "write"]


def entry_of(step: Step) -> dict[str, Any]:
    """Describe a step as ``{"step": name, **parameters}``, JSON-compatible."""
    return {"step": step.name(), **step.model_dump(mode="json")}


def step_of(entry: Mapping[str, Any]) -> Step:
    """Make the step that an entry of a history or a recipe describes.

    Parameters
    ----------
    entry : mapping
        ``{"step": name, **parameters}``; parameters left out take their defaults.

    Raises
    ------
    PreparationError
        If the step is not known here, or the parameters are not its own.
    """
    if not isinstance(entry, Mapping):
        raise PreparationError(f"a step is written as {{'step': name, ...}}, not as {entry!r}")
    parameters = dict(entry)
    name = parameters.pop("step", None)
    known = known_steps()
    if name not in known:
        raise PreparationError(f"there is no step {name!r}; known are {', '.join(known)}")
    try:
        # As JSON, in which pairs are lists also for strict fields.
        return known[name].model_validate_json(json.dumps(parameters))
    except (ValidationError, TypeError) as error:
        raise PreparationError(f"{name}: {_words(error)}") from error


def write(path: str | Path, steps: Iterable[Step | Mapping[str, Any]]) -> None:
    """Write a recipe.

    Parameters
    ----------
    path : str or Path
        A JSON file; it is replaced.
    steps : iterable of Step or mapping
        Steps, or entries as in `Prepared.history`.

    Raises
    ------
    PreparationError
        If an entry is no step.
    """
    entries = [entry_of(each if isinstance(each, Step) else step_of(each)) for each in steps]
    Path(path).write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")


def read(path: str | Path) -> list[Step]:
    """Read a recipe that `write` wrote, or that was written by hand.

    Parameters
    ----------
    path : str or Path
        A JSON file with a list of ``{"step": name, **parameters}``.

    Returns
    -------
    list of Step
        For `qpi_kernels.prepare.run`.

    Raises
    ------
    PreparationError
        If the file is no recipe; the message says which step is wrong.
    OSError
        If it can not be read.
    """
    path = Path(path)
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PreparationError(f"{path.name} is no recipe: it is no JSON ({error})") from error
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise PreparationError(f"{path.name} is no recipe: a recipe is a list of steps")
    steps = []
    for number, entry in enumerate(entries, 1):
        try:
            steps.append(step_of(entry))
        except PreparationError as error:
            raise PreparationError(f"{path.name}, step {number}: {error}") from error
    return steps


def _words(error: ValidationError | TypeError) -> str:
    """Describe the first fault of parameters, with the field's name."""
    if isinstance(error, TypeError):
        return str(error)
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    return f"{field}: {first['msg']}" if field else first["msg"]
