"""The saved-model folder: written whole, and checked before anything in it is believed.

Layout, after diffusers' pipelines::

    model_index.json            method, representation, and the SHA-256 of every weight file
    README.md                   the model card
    kernel_vae/                 config.json, diffusion_pytorch_model.safetensors (two_step)
    observation_encoder/        the same (two_step)
    one_step/                   the same (one_step)
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from qpi_kernels.models.networks import ObservationEncoder, OneStepNetwork
from qpi_kernels.models.presets import InputKind
from qpi_kernels.models.representation import KernelRepresentation

__all__ = ["INDEX_FILE", "KernelModel", "Method", "ModelFormatError", "read_model", "write_model"]

Method = Literal["two_step", "one_step"]

INDEX_FILE = "model_index.json"
_CLASS_NAME = "QpiKernelModel"
_WEIGHTS = "diffusion_pytorch_model.safetensors"
_NETWORKS: dict[Method, dict[str, Any]] = {
    "two_step": {"kernel_vae": AutoencoderKL, "observation_encoder": ObservationEncoder},
    "one_step": {"one_step": OneStepNetwork},
}
_KNOWN_ENDINGS = {".json", ".safetensors", ".md", ".txt", ".png"}
_MOST_CONFIG_BYTES = 1_000_000
_MOST_PARAMETERS = 2_000_000_000


class ModelFormatError(ValueError):
    """A folder is no model that can be trusted; the message says what is wrong with it."""


class _Index(BaseModel):
    """What ``model_index.json`` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    class_name: Literal["QpiKernelModel"] = Field(default="QpiKernelModel", alias="_class_name")
    version: Literal[1] = 1
    method: Method
    representation: KernelRepresentation
    grid: tuple[int, int] = (64, 64)
    sha256: dict[str, str]
    metrics: dict[str, float] = {}


@dataclass(frozen=True, eq=False)
class KernelModel:
    """Networks that find kernels in maps, ready to use.

    Parameters
    ----------
    method : str
        ``two_step`` or ``one_step``.
    representation : KernelRepresentation
        How they see kernels.
    networks : dict of str to torch.nn.Module
        ``kernel_vae`` and ``observation_encoder``, or ``one_step``.
    grid : tuple of int
        Size of the maps and kernels they take and give.
    digest : str
        SHA-256 over all weight files: the model's identity in a result's provenance. Empty for a
        model that was not read from a folder.
    metrics : dict of str to float
        Errors on held-out kernels, as its trainer measured them.
    """

    method: Method
    representation: KernelRepresentation
    networks: dict[str, Any]
    grid: tuple[int, int] = (64, 64)
    digest: str = ""
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def inputs(self) -> InputKind:
        """What the networks see of maps, see `observation_channels`."""
        name = "observation_encoder" if self.method == "two_step" else "one_step"
        kind: InputKind = self.networks[name].inputs
        return kind

    def latent(self, seen: torch.Tensor) -> DiagonalGaussianDistribution:
        """Distribution of the latent, from what `observation_channels` gives on the grid."""
        found: DiagonalGaussianDistribution = (
            self.networks["observation_encoder"](seen)
            if self.method == "two_step"
            else self.networks["one_step"].encode(seen)
        )
        return found

    def kernel(self, latent: torch.Tensor) -> torch.Tensor:
        """Kernels (B, 1, 64, 64) of latents, up to scale (and offset with ``min_max``)."""
        if self.method == "two_step":
            values = self.networks["kernel_vae"].decode(latent).sample
        else:
            values = self.networks["one_step"].decode(latent)
        return self.representation.decode(values)


def write_model(folder: str | Path, model: KernelModel, card: str, *, half: bool = True) -> Path:
    """Write a model folder.

    Parameters
    ----------
    folder : path-like
        Must not exist or be empty.
    model : KernelModel
        The networks.
    card : str
        The model card, Markdown: data, command, commit, metrics, licence.
    half : bool
        Keep the weights in half precision, which halves the size and costs no accuracy that can be
        measured.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileExistsError
        If there is something in the folder.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; choose another folder")
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    digests = {}
    for name, network in model.networks.items():
        network.save_config(fresh / name)
        weights = {
            key: (value.half() if half and value.is_floating_point() else value).contiguous().cpu()
            for key, value in network.state_dict().items()
        }
        save_file(weights, fresh / name / _WEIGHTS, metadata={"format": "pt"})
        digests[f"{name}/{_WEIGHTS}"] = _digest(fresh / name / _WEIGHTS)
    index = _Index(
        method=model.method,
        representation=model.representation,
        grid=model.grid,
        sha256=digests,
        metrics=model.metrics,
    )
    text = index.model_dump_json(by_alias=True, indent=2) + "\n"
    (fresh / INDEX_FILE).write_text(text, encoding="utf-8")
    (fresh / "README.md").write_text(card, encoding="utf-8")
    if folder.exists():
        folder.rmdir()
    fresh.rename(folder)
    return folder


def read_model(folder: str | Path, device: str | torch.device = "cpu") -> KernelModel:
    """Read a model folder.

    No code of the folder is ever run: the classes are fixed here, weights are safetensors, and
    files that could hold code (pickles, Python) make the folder unacceptable as a whole.

    Parameters
    ----------
    folder : path-like
        See the module's description.
    device : str or torch.device
        Where the networks go.

    Raises
    ------
    ModelFormatError
        If a file is missing, foreign, damaged, was changed after it was written, or does not fit
        the shapes that its configuration declares.
    """
    folder = Path(folder)
    index = _read_index(folder)
    _check_files(folder, index)
    networks = {
        name: _read_network(folder / name, made).to(device).eval().requires_grad_(False)
        for name, made in _NETWORKS[index.method].items()
    }
    total = hashlib.sha256("".join(sorted(index.sha256.values())).encode()).hexdigest()
    return KernelModel(
        index.method, index.representation, networks, index.grid, total, dict(index.metrics)
    )


def _read_index(folder: Path) -> _Index:
    try:
        index = _Index.model_validate(_read_json(folder / INDEX_FILE))
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise ModelFormatError(f"{folder}: {INDEX_FILE}, {where}: {problem['msg']}") from error
    wanted = {f"{name}/{_WEIGHTS}" for name in _NETWORKS[index.method]}
    if set(index.sha256) != wanted:
        raise ModelFormatError(
            f"{folder}: {INDEX_FILE} must list exactly {', '.join(sorted(wanted))}"
        )
    return index


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_CONFIG_BYTES:
            raise ModelFormatError(f"{path} is too large for a configuration")
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelFormatError(f"{path.parent} is no model folder: no {path.name}") from error
    except ValueError as error:
        if isinstance(error, ModelFormatError):
            raise
        raise ModelFormatError(f"{path} is not JSON ({error})") from error
    if not isinstance(found, dict):
        raise ModelFormatError(f"{path} is not a JSON object")
    return found


def _check_files(folder: Path, index: _Index) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise ModelFormatError(f"{path} is a link; a model folder holds its own files")
        if path.is_file() and path.suffix.lower() not in _KNOWN_ENDINGS:
            raise ModelFormatError(
                f"{path} does not belong into a model folder; only safetensors and JSON are read, "
                "for pickles and scripts can run code. Remove it if you trust the rest"
            )
    for name, digest in index.sha256.items():
        path = folder / name
        if not path.is_file():
            raise ModelFormatError(f"{path} is missing")
        if _digest(path) != digest:
            raise ModelFormatError(f"{path} is not the file that was saved: its SHA-256 differs")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_network(folder: Path, made: Any) -> Any:
    config = _read_json(folder / "config.json")
    if config.get("_class_name") != made.__name__:
        raise ModelFormatError(
            f"{folder}: config.json is of a {config.get('_class_name')}, not a {made.__name__}"
        )
    path = folder / _WEIGHTS
    try:
        # Shapes first, without memory: a configuration can claim any size.
        with safe_open(path, framework="pt") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
        with torch.device("meta"):
            network = made.from_config(config)
    except (SafetensorError, OSError) as error:
        raise ModelFormatError(f"{path} is not a safetensors file ({error})") from error
    except Exception as error:
        raise ModelFormatError(
            f"{folder}: config.json makes no {made.__name__}: {error}"
        ) from error
    expected = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    if sum(torch.Size(shape).numel() for shape in expected.values()) > _MOST_PARAMETERS:
        raise ModelFormatError(f"{folder}: config.json asks for too large a network")
    wrong = [key for key in expected.keys() | shapes.keys() if expected.get(key) != shapes.get(key)]
    if wrong:
        key = sorted(wrong)[0]
        raise ModelFormatError(
            f"{path} does not fit config.json: {key} is {shapes.get(key)}, not {expected.get(key)}"
        )
    weights = {key: value.float() for key, value in load_file(path).items()}
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise ModelFormatError(f"{path} holds numbers that are not finite")
    network.load_state_dict(weights, assign=True)
    return network
