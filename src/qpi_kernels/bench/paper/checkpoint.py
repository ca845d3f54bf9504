"""Note in a benchmark's work folder, so that only the same one goes on there."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qpi_kernels.bench.paper.parameters import PaperParameters
from qpi_kernels.io.atomic_write import replacing

__all__ = ["PaperBenchError", "claim_folder"]

_FILE = "bench.json"


class PaperBenchError(ValueError):
    """A benchmark can not go on in a folder; the message says what to change."""


class _Note(BaseModel):
    """Contents of ``bench.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    parameters: PaperParameters
    versions: list[str] = Field(description="software and devices that have been at work, in order")


def claim_folder(folder: Path, parameters: PaperParameters, versions: str) -> list[str]:
    """Note what is done in a folder, or check that it may go on there.

    Parameters
    ----------
    folder : Path
        Made if it is missing.
    parameters : PaperParameters
        Must be those of an earlier session in the folder, but for the device.
    versions : str
        Software and device of this session.

    Returns
    -------
    list of str
        Other software or devices that have done a part of the work: nothing is refused for them,
        but the report has to tell.

    Raises
    ------
    PaperBenchError
        If the folder holds a benchmark with other parameters.
    """
    path = folder / _FILE
    asked = parameters.model_copy(update={"device": "auto"})
    noted = _Note(parameters=asked, versions=[])
    if path.exists():
        try:
            noted = _Note.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise PaperBenchError(
                f"{path} can not be read: it is damaged or of another version; choose another "
                "folder"
            ) from error
        if noted.parameters.model_dump() != asked.model_dump():
            raise PaperBenchError(
                f"{folder} holds a benchmark with other parameters ({path.name}); choose another "
                "folder"
            )
    earlier = [one for one in noted.versions if one != versions]
    if versions not in noted.versions:
        _write(path, _Note(parameters=asked, versions=[*noted.versions, versions]))
    return earlier


def _write(path: Path, note: _Note) -> None:
    """Write the note; a former one is replaced once the new one is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(note.model_dump_json(indent=2) + "\n", encoding="utf-8")
