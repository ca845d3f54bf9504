"""The saved-model folder: written as a whole, and checked before anything in it is used.

Layout, after diffusers' pipelines::

    model_index.json            method, representation, and the SHA-256 of every network's files
    README.md                   the model card
    kernel_vae/                 config.json, diffusion_pytorch_model.safetensors (two_step)
    observation_encoder/        the same (two_step)
    one_step/                   the same (one_step)

Pictures (.png) and texts (.md, .txt) may lie beside the index, and hidden files anywhere; none of
them is ever opened.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from qpi_kernels.models.folder_files import (
    ModelFormatError,
    check_configuration,
    check_files,
    file_digest,
    read_json,
)
from qpi_kernels.models.networks import ObservationEncoder, OneStepNetwork
from qpi_kernels.models.presets import InputKind
from qpi_kernels.models.representation import KernelRepresentation

__all__ = [
    "INDEX_FILE",
    "MODEL_FILES",
    "KernelModel",
    "Method",
    "ModelFormatError",
    "read_model",
    "write_model",
]

Method = Literal["two_step", "one_step"]

INDEX_FILE = "model_index.json"
_CARD_FILE = "README.md"
_CONFIG = "config.json"
_WEIGHTS = "diffusion_pytorch_model.safetensors"
_NETWORKS: dict[Method, dict[str, Any]] = {
    "two_step": {"kernel_vae": AutoencoderKL, "observation_encoder": ObservationEncoder},
    "one_step": {"one_step": OneStepNetwork},
}
_MAX_PARAMETERS = 2_000_000_000


def _network_files(method: Method) -> set[str]:
    """List the files of a method's networks."""
    return {f"{name}/{file}" for name in _NETWORKS[method] for file in (_CONFIG, _WEIGHTS)}


def _layout(method: Method) -> set[str]:
    """List the files of a method's model folder."""
    return {INDEX_FILE, _CARD_FILE, *_network_files(method)}


MODEL_FILES = tuple(sorted({file for method in _NETWORKS for file in _layout(method)}))
"""Files that model folders can hold, relative to the folder."""

_Side = Annotated[int, Field(ge=8, le=1024, multiple_of=8)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Index(BaseModel):
    """Content of ``model_index.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    class_name: Literal["QpiKernelModel"] = Field(default="QpiKernelModel", alias="_class_name")
    version: Literal[1] = 1
    method: Method
    representation: KernelRepresentation
    grid: tuple[_Side, _Side] = (64, 64)
    std_factor: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    sha256: dict[str, str]
    metrics: dict[str, _Finite] = {}

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides which kernels the model gives."""
        deciding = self.model_dump(mode="json", exclude={"metrics"})
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class KernelModel:
    """Networks that extract kernels from maps.

    Parameters
    ----------
    method : str
        ``two_step`` or ``one_step``.
    representation : KernelRepresentation
        Scaling of kernels for the networks.
    networks : dict of str to torch.nn.Module
        ``kernel_vae`` and ``observation_encoder``, or ``one_step``.
    grid : tuple of int
        Size of the maps and kernels they take and give.
    digest : str
        SHA-256 over networks, representation, grid and `std_factor`: the model's identity in a
        result's provenance. Empty for a model that was not read from a folder.
    metrics : dict of str to float
        Errors on held-out kernels, as its trainer measured them.
    std_factor : float
        Ratio of the error to the spread of kernels decoded from samples of the latent, on held-out
        kernels; 1 where it was not measured. See `qpi_kernels.train.calibration`.
    """

    method: Method
    representation: KernelRepresentation
    networks: dict[str, Any]
    grid: tuple[int, int] = (64, 64)
    digest: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    std_factor: float = 1.0

    @property
    def inputs(self) -> InputKind:
        """Input of the networks, see `observation_channels`."""
        name = "observation_encoder" if self.method == "two_step" else "one_step"
        kind: InputKind = self.networks[name].inputs
        return kind

    def latent(self, channels: torch.Tensor) -> DiagonalGaussianDistribution:
        """Encode `observation_channels` on the grid to the distribution of the latent."""
        latent: DiagonalGaussianDistribution = (
            self.networks["observation_encoder"](channels)
            if self.method == "two_step"
            else self.networks["one_step"].encode(channels)
        )
        return latent

    def kernel(self, latent: torch.Tensor) -> torch.Tensor:
        """Decode latents to kernels (B, 1, 64, 64), up to scale (and offset with ``min_max``)."""
        return self.representation.decode(self.represented_kernel(latent))

    def represented_kernel(self, latent: torch.Tensor) -> torch.Tensor:
        """Decode latents to kernels (B, 1, 64, 64) in the network's representation."""
        values: torch.Tensor = (
            self.networks["kernel_vae"].decode(latent).sample
            if self.method == "two_step"
            else self.networks["one_step"].decode(latent)
        )
        return values


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
        (fresh / name).mkdir(parents=True)
        (fresh / name / _CONFIG).write_text(_configuration(network), encoding="utf-8")
        weights = {
            key: (value.half() if half and value.is_floating_point() else value).contiguous().cpu()
            for key, value in network.state_dict().items()
        }
        save_file(weights, fresh / name / _WEIGHTS, metadata={"format": "pt"})
        for file in (_CONFIG, _WEIGHTS):
            digests[f"{name}/{file}"] = file_digest(fresh / name / file)
    index = _Index(
        method=model.method,
        representation=model.representation,
        grid=model.grid,
        std_factor=model.std_factor,
        sha256=digests,
        metrics=model.metrics,
    )
    text = index.model_dump_json(by_alias=True, indent=2) + "\n"
    (fresh / INDEX_FILE).write_text(text, encoding="utf-8")
    (fresh / _CARD_FILE).write_text(card, encoding="utf-8")
    if folder.exists():
        folder.rmdir()
    fresh.rename(folder)
    return folder


def read_model(folder: str | Path, device: str | torch.device = "cpu") -> KernelModel:
    """Read a model folder.

    No code of the folder is ever run: the classes are fixed here, weights are safetensors, and
    any file that the layout does not have (a pickle, Python) makes the folder unacceptable as a
    whole. Links are followed only from the Hugging Face hub's cache into its own store.

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
    check_files(folder, MODEL_FILES)
    index = _read_index(folder)
    check_files(folder, _layout(index.method))
    _check_digests(folder, index)
    networks = {
        name: _read_network(folder / name, kind).to(device).eval().requires_grad_(False)
        for name, kind in _NETWORKS[index.method].items()
    }
    return KernelModel(
        index.method,
        index.representation,
        networks,
        index.grid,
        index.digest,
        dict(index.metrics),
        index.std_factor,
    )


def _configuration(network: Any) -> str:
    """Text of a network's configuration, without the path that it was loaded from."""
    config = json.loads(network.to_json_string())
    config.pop("_name_or_path", None)
    return json.dumps(config, indent=2, sort_keys=True) + "\n"


def _read_index(folder: Path) -> _Index:
    """Read ``model_index.json`` and check that it lists the files of its method."""
    try:
        index = _Index.model_validate(read_json(folder / INDEX_FILE))
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise ModelFormatError(f"{folder}: {INDEX_FILE}, {where}: {problem['msg']}") from error
    expected = _network_files(index.method)
    if set(index.sha256) != expected:
        raise ModelFormatError(
            f"{folder}: {INDEX_FILE} must list exactly {', '.join(sorted(expected))}"
        )
    return index


def _check_digests(folder: Path, index: _Index) -> None:
    """Compare the files with the digests of the index."""
    for name, digest in index.sha256.items():
        path = folder / name
        if not path.is_file():
            raise ModelFormatError(f"{path} is missing")
        if file_digest(path) != digest:
            raise ModelFormatError(f"{path} is not the file that was saved: its SHA-256 differs")


def _read_network(folder: Path, kind: Any) -> Any:
    """Make a network of a class from its configuration, and load weights that fit it."""
    config = read_json(folder / _CONFIG)
    check_configuration(config, folder / _CONFIG)
    if config.get("_class_name") != kind.__name__:
        raise ModelFormatError(
            f"{folder}: config.json is of a {config.get('_class_name')}, not a {kind.__name__}"
        )
    path = folder / _WEIGHTS
    try:
        # Shapes first, without memory: a configuration can claim any size.
        with safe_open(path, framework="pt") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
        with torch.device("meta"):
            network = kind.from_config(config)
    except (SafetensorError, OSError) as error:
        raise ModelFormatError(f"{path} is not a safetensors file ({error})") from error
    except Exception as error:
        raise ModelFormatError(
            f"{folder}: config.json describes no {kind.__name__}: {error}"
        ) from error
    expected = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    if sum(torch.Size(shape).numel() for shape in expected.values()) > _MAX_PARAMETERS:
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
