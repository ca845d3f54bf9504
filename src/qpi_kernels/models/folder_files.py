"""Checks of an untrusted folder: its files are examined before any is opened."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["ModelFormatError", "check_configuration", "check_files", "file_digest", "read_json"]

# A picture, a licence or notes beside the card.
_OTHER_ENDINGS = {".png", ".txt", ".md"}
_MAX_CONFIG_BYTES = 1_000_000
_MAX_LAYERS, _MAX_ENTRIES = 16, 8


class ModelFormatError(ValueError):
    """A model folder is damaged or unsafe; the message says what is wrong with it."""


def check_files(folder: Path, layout: Iterable[str]) -> None:
    """Refuse a folder that holds anything but the files of a layout.

    Pictures and texts at the top may lie beside them. Hidden files are passed over, as version
    control, file managers and download tools leave them; none is ever opened.

    Parameters
    ----------
    folder : Path
        The model folder.
    layout : iterable of str
        Files that it may hold, relative to it.

    Raises
    ------
    ModelFormatError
        If there is another file, something that is no plain file, or a link, except one of the
        Hugging Face hub's cache into its own store.
    """
    known = set(layout)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts):
            continue
        if path.is_symlink() and not _of_hub_cache(folder, path):
            raise ModelFormatError(f"{path} is a link; a model folder holds its own files")
        if path.is_dir():
            continue
        if not path.is_file():
            raise ModelFormatError(f"{path} is no plain file")
        beside = len(name.parts) == 1 and path.suffix.lower() in _OTHER_ENDINGS
        if name.as_posix() not in known and not beside:
            raise ModelFormatError(
                f"{path} does not belong in a model folder; only safetensors and JSON are read, "
                "for pickles and scripts can run code. Remove it if you trust the rest"
            )


def read_json(path: Path) -> dict[str, Any]:
    """Read a small JSON object.

    Raises
    ------
    ModelFormatError
        If there is no such plain file, it is too large, or no JSON object.
    """
    if not path.is_file():
        raise ModelFormatError(f"{path.parent} is no model folder: it has no {path.name}")
    try:
        if path.stat().st_size > _MAX_CONFIG_BYTES:
            raise ModelFormatError(f"{path} is too large for a configuration")
        content = json.loads(path.read_text(encoding="utf-8"))
    except ModelFormatError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFormatError(f"{path} is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise ModelFormatError(f"{path} is not a JSON object")
    return content


def check_configuration(config: dict[str, Any], path: Path) -> None:
    """Refuse a network's configuration with so many parts that making it would take minutes.

    Parameters
    ----------
    config : dict
        From a ``config.json``.
    path : Path
        That file, for the message.
    """
    for part in [config, *(value for value in config.values() if isinstance(value, dict))]:
        for name, value in part.items():
            deep = name in ("layers", "layers_per_block") and value not in range(_MAX_LAYERS + 1)
            long = isinstance(value, list) and len(value) > _MAX_ENTRIES
            nested = isinstance(value, dict) and part is not config
            if deep or long or nested:
                raise ModelFormatError(f"{path} asks for too large a network: {name}")


def file_digest(path: Path) -> str:
    """Compute the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _of_hub_cache(folder: Path, link: Path) -> bool:
    """Return True for a link from a snapshot of the hub's cache to the blobs of that cache.

    They lie in ``blobs`` of the model, or in one that all models of the cache share.
    """
    folder = folder.absolute()
    if folder.parent.name != "snapshots" or link.is_dir():
        return False
    model = folder.parent.parent
    target = link.resolve()
    return any(
        target.is_relative_to((owner / "blobs").resolve()) for owner in (model, model.parent)
    )
