"""`load_model`: the bundled model, a folder, or a model on the hub."""

from __future__ import annotations

import os
import re
from pathlib import Path

import torch

from qpi_kernels.devices import choose_device
from qpi_kernels.models.folder import (
    INDEX_FILE,
    MODEL_FILES,
    KernelModel,
    Method,
    ModelFormatError,
    read_model,
)

__all__ = ["BUNDLED", "load_model", "model_folder"]

BUNDLED = "bundled"
_BUNDLED_FOLDER = Path(__file__).parent / "bundled"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(@[\w./-]+)?")


def load_model(
    source: str | os.PathLike[str] = BUNDLED,
    *,
    method: Method = "two_step",
    device: str | torch.device = "cpu",
) -> KernelModel:
    """Load networks that extract kernels.

    Parameters
    ----------
    source : str or path-like
        ``bundled`` for the model that comes with this package; a model folder; or a model on the
        Hugging Face hub, ``owner/name`` or ``owner/name@revision``. A folder of that name wins.
    method : str
        ``two_step`` or ``one_step``: which of the bundled models; any other source must be of
        that method.
    device : str or torch.device
        Where the networks go; ``auto`` takes a GPU when there is one.

    Returns
    -------
    KernelModel
        Ready to use.

    Raises
    ------
    ModelFormatError
        If there is no such model, it can not be downloaded, its method is another, or its folder
        can not be trusted. No code of a foreign folder is ever run.
    """
    chosen = choose_device(device) if isinstance(device, str) else device
    model = read_model(model_folder(source, method), chosen)
    if model.method != method:
        raise ModelFormatError(
            f"{os.fspath(source)} is a {model.method} model; use it with method={model.method!r}"
        )
    return model


def model_folder(source: str | os.PathLike[str] = BUNDLED, method: Method = "two_step") -> Path:
    """Find the folder of a model, and download it from the hub if need be; see `load_model`."""
    name = os.fspath(source)
    if name == BUNDLED:
        return _BUNDLED_FOLDER / method
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if _HUB_ID.fullmatch(name):
        return _downloaded(name)
    raise ModelFormatError(
        f"there is no model folder {name}; give the folder that holds model_index.json, "
        f"{BUNDLED!r}, or a hub id such as owner/name"
    )


def _downloaded(name: str) -> Path:
    """Take a model from the hub's cache, or from the hub."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, snapshot_download

    repository, _, given = name.partition("@")
    revision = given or None

    def snapshot(*, local_files_only: bool) -> Path:
        """Find the model's folder in the cache, which is filled first if that is allowed."""
        folder: str = snapshot_download(
            repository,
            revision=revision,
            allow_patterns=list(MODEL_FILES),
            local_files_only=local_files_only,
        )
        if not (Path(folder) / INDEX_FILE).is_file():
            raise FileNotFoundError(folder)
        return Path(folder)

    try:
        return snapshot(local_files_only=True)
    except Exception:  # not in the cache: each release of the hub's client says so in another way
        pass
    try:
        # Without a connection this fails at once, where a download would try again for long.
        get_hf_file_metadata(hf_hub_url(repository, INDEX_FILE, revision=revision), timeout=10.0)
        return snapshot(local_files_only=False)
    except Exception as error:
        raise ModelFormatError(
            f"{name} is no folder here, not in the hub's cache, and can not be downloaded "
            f"({type(error).__name__}): check the name and the connection, or download it "
            "elsewhere and give its folder"
        ) from error
