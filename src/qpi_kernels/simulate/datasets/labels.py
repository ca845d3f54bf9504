"""Labels of the kernels of a data set: symmetry, family, splits, parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from qpi_kernels.io.atomic_write import replacing
from qpi_kernels.simulate.datasets.public_lines import DatasetFormatError

__all__ = ["DatasetRecord", "KernelLabels", "published_fold", "read_record", "write_record"]

_FILE = "dataset.json"
_MARK = b"qpi_kernels.dataset"

# preprocessing/nfold_generate.py of QPI-Dataset/QPI-Dataset-100kernels
_PUBLISHED_FOLDS: dict[int, tuple[int, ...]] = {
    1: (1, 2, 4, 5, 7, 8, 82, 83, 85, 86, 88, 89),
    2: (*range(10, 28), *range(91, 100)),
    3: (*range(64, 82), 100),
    4: (3, 6, 9, *range(28, 46), 84, 87, 90),
    6: tuple(range(46, 64)),
}


class KernelLabels(BaseModel):
    """Labels of one kernel; empty where nothing is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fold: int = Field(
        default=0, ge=0, description="rotational symmetry: 2, 3, 4 or 6; 1 is isotropic, 0 unknown"
    )
    family: str = Field(default="", description="the family that generated the kernel")
    split: Literal["train", "test", ""] = Field(default="", description="in the split by kernel")
    family_split: Literal["train", "test", ""] = Field(
        default="", description="in the harder split that holds out whole families"
    )
    seed: int | None = Field(default=None, description="seed of the kernel and of its observations")
    parameters: dict[str, JsonValue] = Field(
        default_factory=dict, description="what the kernel was generated with"
    )


class DatasetRecord(BaseModel):
    """The file ``dataset.json`` beside a data set's folders of images."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["qpi_kernels.dataset"] = Field(
        default="qpi_kernels.dataset", description="what this file is"
    )
    version: Literal[1] = Field(default=1, description="version of this file's layout")
    protocol: dict[str, JsonValue] = Field(
        default_factory=dict, description="how the data set was made: parameters, seed, versions"
    )
    kernels: dict[int, KernelLabels] = Field(
        default_factory=dict, description="labels by kernel number"
    )


def published_fold(number: int) -> int:
    """Return the published symmetry label of a kernel of the public data set, 0 if it has none.

    Labels are 1, 2, 3, 4 and 6. Label 1 most likely means isotropic rings: the published loss
    rotates these kernels by 90 and 180 degrees.
    """
    return next((fold for fold, numbers in _PUBLISHED_FOLDS.items() if number in numbers), 0)


def write_record(
    folder: str | Path,
    kernels: Mapping[int, KernelLabels],
    protocol: Mapping[str, JsonValue] | None = None,
) -> Path:
    """Write ``dataset.json``.

    Parameters
    ----------
    folder : path-like
        The data set's folder, which holds the folders of images; made if missing.
    kernels : mapping of int to KernelLabels
        Labels by kernel number.
    protocol : mapping, optional
        How the data set was made: parameters, seed, versions.

    Returns
    -------
    Path
        The file written.
    """
    path = Path(folder) / _FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    record = DatasetRecord(kernels=dict(kernels), protocol=dict(protocol or {}))
    with replacing(path) as partial:
        partial.write_text(record.model_dump_json(indent=1), encoding="utf-8")
    return path


def read_record(folder: Path) -> DatasetRecord | None:
    """Read the ``dataset.json`` of a folder of images: in this folder or the one above.

    Parameters
    ----------
    folder : Path
        Where the kernels' files are.

    Returns
    -------
    DatasetRecord or None
        None if there is none; another program's file of that name does not count.

    Raises
    ------
    DatasetFormatError
        If it is damaged.
    """
    for path in (folder / _FILE, folder.resolve().parent / _FILE):
        if not path.is_file():
            continue
        text = path.read_bytes()
        if _MARK not in text:
            continue
        try:
            return DatasetRecord.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            reason = f"{place} {first['msg']}; correct or remove the file".strip()
            raise DatasetFormatError(path, reason) from error
    return None
