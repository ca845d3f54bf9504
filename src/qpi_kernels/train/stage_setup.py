"""Setup of a training stage: networks and data of its parameters."""

from __future__ import annotations

from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState

from qpi_kernels.devices import choose_device
from qpi_kernels.models.networks import ObservationEncoder, OneStepNetwork, make_kernel_vae
from qpi_kernels.models.presets import ModelPreset
from qpi_kernels.models.pretrained import load_pretrained
from qpi_kernels.simulate.datasets.batches import Batch, BatchParameters, SimulatedBatches
from qpi_kernels.simulate.datasets.read_dataset import read_qpi_dataset
from qpi_kernels.simulate.kernel_sampler import KernelSampler
from qpi_kernels.simulate.maps.annotation import Annotation
from qpi_kernels.simulate.maps.artefacts import Artefacts
from qpi_kernels.simulate.maps.placement import Placement
from qpi_kernels.train.data.batch_stream import Batches
from qpi_kernels.train.dataset_batches import DatasetBatches, DatasetSplit
from qpi_kernels.train.files.metrics_log import trackers
from qpi_kernels.train.kernel_vae import read_kernel_vae
from qpi_kernels.train.parameters import TrainingError, TrainingParameters, starting_weights
from qpi_kernels.train.stages import AlignmentStage, KernelStage, OneStepStage
from qpi_kernels.train.step.mixed_norms import use_mixed_norms

__all__ = [
    "make_accelerator",
    "make_stage",
    "move_stage",
    "training_batches",
    "validation_batches",
]

_WINDOW = (81, 81)
_VALIDATION_SEED = 987_654_321
_MAX_AT_ONCE = 32


def make_accelerator(parameters: TrainingParameters, folder: Path) -> Accelerator:
    """Make what knows of device, precision and processes; it logs into `folder`."""
    # Accelerate keeps device and precision for the whole process and refuses others; a second
    # training in the same process may want them.
    if AcceleratorState._shared_state and PartialState().num_processes == 1:
        AcceleratorState._reset_state(reset_partial_state=True)
    device = choose_device(parameters.device)
    if device.type == "cuda" and device.index is not None:
        # Accelerate takes the current one.
        torch.cuda.set_device(device)
    return Accelerator(
        cpu=device.type == "cpu",
        mixed_precision=parameters.precision,
        log_with=trackers(),
        project_dir=folder,
    )


def make_stage(
    folder: Path, parameters: TrainingParameters, preset: ModelPreset, *, resumed: bool = False
) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Make a stage and the network that it trains.

    Parameters
    ----------
    folder : Path
        Holds the folders of all stages.
    parameters, preset
        What to train.
    resumed : bool
        Whether the weights come from a checkpoint, so that none need be loaded to start from.

    Raises
    ------
    TrainingError
        If the kernel VAE that alignment needs is missing or sees kernels in another way.
    PretrainedError
        If the weights to start from can not be had or do not fit.
    """
    torch.manual_seed(parameters.seed)
    stage, network = _untrained(folder, parameters, preset)
    source = starting_weights(parameters, preset)
    if source is not None and not resumed:
        load_pretrained(network, source)
    return stage, network


def move_stage(
    stage: torch.nn.Module, device: torch.device, parameters: TrainingParameters
) -> None:
    """Move a stage to its device, in the order in memory and the types that are quickest there."""
    stage.to(device)
    if parameters.precision == "bf16":
        use_mixed_norms(stage)
    # Convolutions of float32 are quicker on a CPU, by 17 %, if a pixel's channels lie together.
    # On a GPU normalisations copy them apart and back: a quarter slower (H100), unless compiled.
    exact = parameters.precision == "no"
    if (device.type == "cpu" and exact) or (device.type == "cuda" and parameters.compile):
        stage.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _untrained(
    folder: Path, parameters: TrainingParameters, preset: ModelPreset
) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Build a stage with random weights."""
    if parameters.stage == "kernels":
        vae = make_kernel_vae(preset)
        return KernelStage(vae, preset.representation, parameters), vae
    if parameters.stage == "one-step":
        baseline = OneStepNetwork.of_preset(preset)
        return OneStepStage(baseline, preset.representation, parameters), baseline
    if parameters.larger_maps and preset.inputs == "maps":
        raise TrainingError(
            f"the preset {preset.name} sees whole maps of one size: leave larger_maps at 0"
        )
    frozen = read_kernel_vae(folder, preset.representation)
    encoder = ObservationEncoder.of_preset(preset)
    return AlignmentStage(encoder, frozen, preset.representation, parameters), encoder


def training_batches(parameters: TrainingParameters, accelerator: Accelerator) -> Batches:
    """Make the training data: a data set's, or simulated kernels and observations."""
    if parameters.data is not None:
        dataset = read_qpi_dataset(parameters.data)
        split = DatasetSplit.of_dataset(dataset, parameters.seed)
        return DatasetBatches.of_dataset(
            dataset,
            split.kernels,
            None if parameters.stage == "kernels" else split.observations,
            batch_size=parameters.batch_size,
            steps=parameters.steps,
            seed=parameters.seed,
            rank=accelerator.process_index,
            processes=accelerator.num_processes,
            noisy=not parameters.clean,
        )
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
    """Make kernels that training never sees; validation compares the same ones each time.

    Of a data set, those held out: a network that is kept for its validation error has been chosen
    on them, one that is kept as the last has not.
    """
    made: Batches
    if parameters.data is not None:
        made = _held_out_batches(parameters)
    else:
        samples = parameters.validation_samples
        size = max(size for size in range(1, _MAX_AT_ONCE + 1) if samples % size == 0)
        made = SimulatedBatches(
            _library(parameters, _VALIDATION_SEED),
            _samples(parameters).model_copy(update={"variants": 1, "observations": 1}),
            batch_size=size,
            steps=samples // size,
            seed=_VALIDATION_SEED,
        )
    return [made[step] for step in range(len(made))]


def _held_out_batches(parameters: TrainingParameters) -> DatasetBatches:
    """Make batches of a data set's held-out kernels and observations."""
    dataset = read_qpi_dataset(str(parameters.data))
    split = DatasetSplit.of_dataset(dataset, parameters.seed)
    seen = None if parameters.stage == "kernels" else split.held_out_observations
    if seen == ():
        raise TrainingError(
            f"{parameters.data} has too few observations of each kernel to hold some out; make "
            "three at least"
        )
    samples = len(split.held_out_kernels) * (1 if seen is None else len(seen))
    samples = min(samples, parameters.validation_samples)
    steps = max(1, samples // _MAX_AT_ONCE)
    return DatasetBatches.of_dataset(
        dataset,
        split.held_out_kernels,
        seen,
        batch_size=samples // steps,
        steps=steps,
        seed=_VALIDATION_SEED,
        noisy=not parameters.clean,
    )


def _library(parameters: TrainingParameters, seed: int) -> KernelSampler:
    """Make the sampler of simulated kernels."""
    shape = (64, 64) if parameters.stage == "kernels" else _WINDOW
    return KernelSampler(shape=shape, seed=seed).without(*parameters.held_out)


def _samples(parameters: TrainingParameters) -> BatchParameters:
    """Choose shapes, noise and marks of simulated samples."""
    if parameters.stage == "kernels":
        return BatchParameters(image_shape=None)
    mixture = parameters.noise == "mixture"
    return BatchParameters(
        artefacts=None if mixture else Artefacts(noise=float(parameters.noise)),
        larger_share=parameters.larger_maps if parameters.stage == "alignment" else 0.0,
        placement=Placement(count=parameters.most_defects, margin_px=-2.0, strength_spread=0.1),
        annotation=Annotation(jitter_px=parameters.jitter_px, missed=0.02, spurious=0.02),
    )
