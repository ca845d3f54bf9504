"""Weights for networks to start from: of an earlier training, or of an autoencoder of pictures."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

from qpi_kernels.models.folder import INDEX_FILE, Method, ModelFormatError
from qpi_kernels.models.loading import BUNDLED, load_model
from qpi_kernels.models.networks import OneStepNetwork

__all__ = ["PretrainedError", "load_pretrained"]

_FILES = ("config.json", "diffusion_pytorch_model.safetensors")
_PREFIX = "network."
_TIMEOUT_S = 10.0
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


class PretrainedError(ValueError):
    """Pretrained weights can not be had or do not fit; the message says what to do."""


def load_pretrained(network: torch.nn.Module, source: str | Path) -> None:
    """Give a network the weights of one like it, or of a `diffusers.AutoencoderKL`.

    A saved model gives those of its network of the same kind. Of any other autoencoder the first
    and the last convolution are adapted where they have another number of channels, as the
    published training scripts (arXiv 2506.05325) do; see `adapted_input`. An output convolution for
    one channel is the mean over the channels it had, its bias too.

    Parameters
    ----------
    network : torch.nn.Module
        A kernel VAE, an `ObservationEncoder` (which has the encoder alone) or a `OneStepNetwork`;
        changed in place.
    source : path-like or str
        ``bundled``, a model folder as `load_model` reads it, a folder with ``config.json`` and
        ``diffusion_pytorch_model.safetensors``, or the id of such an autoencoder on the Hugging
        Face hub. Pickles and code are never read.

    Raises
    ------
    PretrainedError
        If the hub can not be reached and the model is not in its cache, there is no such model,
        it is damaged, or it has another architecture.
    """
    weights = _saved_weights(network, source)
    if weights is None:
        weights = _read(_local_folder(source))
    started = {}
    for name, wanted in network.state_dict().items():
        found = weights.get(name.removeprefix(_PREFIX))
        if found is not None:
            found = _adapted(name.removeprefix(_PREFIX), found, wanted.shape)
        if found is None or found.shape != wanted.shape:
            raise PretrainedError(
                f"{source} has another architecture: {name} is "
                f"{'missing' if found is None else tuple(found.shape)}, not {tuple(wanted.shape)}; "
                "choose another model or --start-from scratch"
            )
        started[name] = found
    network.load_state_dict(started)


def adapted_input(weight: torch.Tensor, channels: int) -> torch.Tensor:
    """Adapt a first convolution to another number of channels.

    One channel takes the mean over those there were; more take as many of them, from the first on
    and again from the first when there are too few, times the ratio of the numbers (1.5 for two
    of RGB), so that the features keep their size.

    Parameters
    ----------
    weight : tensor, (features, before, h, w)
        The convolution's weights.
    channels : int
        Channels to come.

    Returns
    -------
    tensor, (features, channels, h, w)
    """
    before = weight.shape[1]
    if channels == before:
        return weight
    if channels == 1:
        return weight.mean(dim=1, keepdim=True)
    return weight[:, [channel % before for channel in range(channels)]] * (before / channels)


def _saved_weights(network: torch.nn.Module, source: str | Path) -> dict[str, torch.Tensor] | None:
    """Read the weights of a saved model's network of the same kind; None of other sources."""
    if source != BUNDLED and not (Path(source).expanduser() / INDEX_FILE).is_file():
        return None
    method: Method = "one_step" if isinstance(network, OneStepNetwork) else "two_step"
    try:
        saved = load_model(source, method=method)
    except ModelFormatError as error:
        raise PretrainedError(f"{error}; or choose --start-from scratch") from error
    (like,) = (one for one in saved.networks.values() if type(one) is type(network))
    return {name.removeprefix(_PREFIX): value.float() for name, value in like.state_dict().items()}


def _adapted(name: str, weight: torch.Tensor, wanted: torch.Size) -> torch.Tensor:
    """Adapt the first and the last convolution to the channels of a network."""
    if name == "encoder.conv_in.weight":
        return adapted_input(weight, wanted[1])
    if name in ("decoder.conv_out.weight", "decoder.conv_out.bias") and wanted[0] == 1:
        return weight.mean(dim=0, keepdim=True)
    return weight


def _local_folder(source: str | Path) -> Path:
    """Find the folder of a model: as given, from the hub's cache, or from the hub."""
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    # The text as given: a Path forgets that "./owner/name" began with a dot.
    if not _HUB_ID.fullmatch(os.fspath(source)):
        raise PretrainedError(f"{source}: no such folder, and no hub id like 'owner/name'")
    try:
        return _from_hub(str(source), local_files_only=True)
    except Exception:  # not in the cache: each release of the hub's client says so in another way
        pass
    try:
        # Without a connection this fails at once, where a download would try again for long.
        get_hf_file_metadata(hf_hub_url(str(source), _FILES[0]), timeout=_TIMEOUT_S)
        return _from_hub(str(source), local_files_only=False)
    except Exception as error:
        raise PretrainedError(
            f"the weights {source!r} are not in the cache and can not be downloaded here: run 'hf "
            f"download {source} {' '.join(_FILES)}' where there is a connection, or give a folder "
            "that holds these two files (--start-from FOLDER; --start-from scratch does without)"
        ) from error


def _from_hub(source: str, *, local_files_only: bool) -> Path:
    files = [hf_hub_download(source, name, local_files_only=local_files_only) for name in _FILES]
    return Path(files[0]).parent


def _read(folder: Path) -> dict[str, torch.Tensor]:
    """Read the weights of an autoencoder in single precision."""
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise PretrainedError(
            f"{folder} holds no {' and no '.join(missing)}; give the folder of a diffusers "
            "AutoencoderKL saved as safetensors"
        )
    try:
        network, report = _loaded(folder)
    except Exception as error:  # whatever a damaged file or configuration causes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PretrainedError(f"{folder} holds no readable AutoencoderKL: {reason}") from error
    if report["missing_keys"]:
        raise PretrainedError(
            f"{folder} lacks weights that its configuration declares: {report['missing_keys'][0]}"
        )
    return {name: value.float() for name, value in network.state_dict().items()}


def _loaded(folder: Path) -> tuple[Any, dict[str, Any]]:
    network, report = AutoencoderKL.from_pretrained(
        folder, use_safetensors=True, local_files_only=True, output_loading_info=True
    )
    return network, report
