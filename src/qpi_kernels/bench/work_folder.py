"""JSON notes in the work folder of a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from qpi_kernels.io.atomic_write import replacing

__all__ = ["read_json", "write_json"]

Model = TypeVar("Model", bound=BaseModel)


def read_json(path: Path, model: type[Model], error: type[Exception]) -> Model | None:
    """Read a note, None if there is none.

    Parameters
    ----------
    path : Path
        The file.
    model : type of BaseModel
        Its contents.
    error : type of Exception
        Raised if the file cannot be read as these; the message says what to do.
    """
    if not path.exists():
        return None
    try:
        return model.model_validate_json(path.read_bytes())
    except ValidationError as damaged:
        raise error(
            f"{path} can not be read: it is damaged or of another version; choose another folder"
        ) from damaged


def write_json(path: Path, contents: BaseModel) -> None:
    """Write a note; a former one is replaced once the new one is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(contents.model_dump_json(indent=2) + "\n", encoding="utf-8")
