"""Note in a benchmark's work folder, so that only the same one goes on there."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from qpi_kernels.bench.paper.parameters import PaperParameters
from qpi_kernels.bench.work_folder import read_json, write_json

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
    noted = read_json(path, _Note, PaperBenchError) or _Note(parameters=asked, versions=[])
    if noted.parameters.model_dump() != asked.model_dump():
        raise PaperBenchError(
            f"{folder} holds a benchmark with other parameters ({path.name}); choose another folder"
        )
    earlier = [one for one in noted.versions if one != versions]
    if versions not in noted.versions:
        write_json(path, _Note(parameters=asked, versions=[*noted.versions, versions]))
    return earlier
