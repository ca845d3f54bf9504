"""From parameters to networks and data."""

from __future__ import annotations

from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL

from qpi_kernels.models.networks import ObservationEncoder, OneStepNetwork, make_kernel_vae
from qpi_kernels.models.presets import ModelPreset
from qpi_kernels.simulate.datasets.batches import Batch, BatchParameters, SimulatedBatches
from qpi_kernels.simulate.library import KernelLibrary
from qpi_kernels.simulate.maps.annotation import Annotation
from qpi_kernels.simulate.maps.placement import Placement
from qpi_kernels.train.parameters import TrainingError, TrainingParameters
from qpi_kernels.train.stages import AlignmentStage, KernelStage, OneStepStage

__all__ = ["make_stage", "training_batches", "validation_batches"]

_WINDOW = (81, 81)
_VALIDATION_SEED = 987_654_321


def make_stage(
    folder: Path, parameters: TrainingParameters, preset: ModelPreset
) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Make a stage and the network that it trains.

    Parameters
    ----------
    folder : Path
        Holds the folders of all stages.
    parameters, preset
        What to train.

    Raises
    ------
    TrainingError
        If the kernel VAE is missing that alignment needs.
    """
    torch.manual_seed(parameters.seed)
    representation = preset.representation
    if parameters.stage == "kernels":
        vae = make_kernel_vae(preset)
        return KernelStage(vae, representation, parameters), vae
    if parameters.stage == "one-step":
        network = OneStepNetwork.of_preset(preset)
        return OneStepStage(network, representation, parameters), network
    trained = folder / "kernels" / "best"
    if not (trained / "config.json").exists():
        raise TrainingError(f"{trained} is missing: train the stage 'kernels' into {folder} first")
    encoder = ObservationEncoder.of_preset(preset)
    frozen = AutoencoderKL.from_pretrained(trained).eval()
    return AlignmentStage(encoder, frozen, representation, parameters), encoder


def training_batches(parameters: TrainingParameters, accelerator: Accelerator) -> SimulatedBatches:
    """Fresh kernels, and observations where the stage needs them."""
    return SimulatedBatches(
        _library(parameters, parameters.seed),
        _samples(parameters),
        batch_size=parameters.batch_size,
        steps=parameters.steps,
        seed=parameters.seed,
        rank=accelerator.process_index,
        processes=accelerator.num_processes,
    )


def validation_batches(parameters: TrainingParameters) -> list[Batch]:
    """Kernels from another seed, kept: validation compares the same ones each time."""
    size = min(parameters.validation_samples, 32)
    made = SimulatedBatches(
        _library(parameters, _VALIDATION_SEED),
        _samples(parameters).model_copy(update={"variants": 1, "observations": 1}),
        batch_size=size,
        steps=parameters.validation_samples // size,
        seed=_VALIDATION_SEED,
    )
    return [made[step] for step in range(len(made))]


def _library(parameters: TrainingParameters, seed: int) -> KernelLibrary:
    shape = (64, 64) if parameters.stage == "kernels" else _WINDOW
    return KernelLibrary(shape=shape, seed=seed).without(*parameters.held_out)


def _samples(parameters: TrainingParameters) -> BatchParameters:
    if parameters.stage == "kernels":
        return BatchParameters(image_shape=None)
    return BatchParameters(
        placement=Placement(count=parameters.most_defects, margin_px=-2.0, strength_spread=0.1),
        annotation=Annotation(jitter_px=parameters.jitter_px, missed=0.02, spurious=0.02),
    )
