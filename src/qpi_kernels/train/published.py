"""The published training, arXiv 2506.05325: its parameters in one place."""

from __future__ import annotations

from typing import Any

from qpi_kernels.train.parameters import StageName, TrainingError, TrainingParameters

__all__ = ["published"]

# Read in the training scripts of QPI-Dataset/QPI-Dataset-100kernels, commit 0b3ab00: epochs, epochs
# from fall to fall of the rate, rate, clip of the gradient (0: none).
_STAGES: dict[StageName, tuple[int, int, float, float]] = {
    "kernels": (300, 20, 1e-4, 1.0),
    "alignment": (50, 5, 5e-5, 1.0),
    "one-step": (50, 5, 5e-5, 0.0),
}
_BATCH_SIZE = 8
_KERNELS, _OBSERVATIONS = 80, 250
_VALIDATIONS = 50


def published(
    stage: StageName = "kernels",
    *,
    kernels: int = _KERNELS,
    observations: int = _OBSERVATIONS,
    **changes: Any,
) -> TrainingParameters:
    """Return the parameters of the published training.

    Adam in batches of 8 at a rate that falls to 0.97 of itself every few epochs; no warm-up, no
    averaged weights, no choice of the best; MSE + 0.7 symmetric + 1e-6 divergence for kernels, mean
    and log-variance of the latent for alignment. (The stage 1 rate falls every 20 epochs in the
    cleaned scripts and every 10 in the original ones.) One deviation: a network that sees maps gets
    them with mean 0 and standard deviation 1 and missing pixels at 0, see `observation_channels`;
    the published scripts stretch each map to 0 ... 1. Kernels are stretched as published.

    Parameters
    ----------
    stage : str
        See `TrainingParameters`.
    kernels, observations : int
        Kernels that are trained on, and observations of each: they turn epochs into steps. Where a
        data set is named (``data``), its own numbers count instead.
    **changes
        Fields of `TrainingParameters` that differ from the published.

    Returns
    -------
    TrainingParameters
        With the preset ``paper`` if it is not changed.

    Raises
    ------
    TrainingError
        If the data set has too few kernels, or the batch size is left to the memory.
    DatasetFormatError, FileNotFoundError
        If there is no data set where ``data`` says.
    """
    if changes.get("data") is not None:
        kernels, observations = _training_size(str(changes["data"]), changes.get("seed", 0))
    batch_size = changes.get("batch_size", _BATCH_SIZE)
    if not batch_size:
        raise TrainingError("the published training counts epochs: give it a batch_size above 0")
    samples = kernels if stage == "kernels" else kernels * observations
    epochs, fall_epochs, rate, clip = _STAGES[stage]
    steps = changes.get("steps", max(1, round(epochs * samples / batch_size)))
    look_every = max(1, steps // _VALIDATIONS)
    values = {
        "preset": "paper",
        "stage": stage,
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": rate,
        "warmup": 0,
        "schedule": "steps",
        "decay": 0.97,
        "decay_every": max(1, round(fall_epochs * samples / batch_size)),
        "weight_decay": 0.0,
        "gradient_clip": clip,
        "symmetric_weight": 0.7,
        "divergence_weight": 1e-6,
        "decoded_weight": 0.0,
        "log_variance": "published",
        "average": 0.0,
        "keep": "last",
        "most_defects": 20,
        "validate_every": look_every,
        "checkpoint_every": look_every,
    }
    return TrainingParameters.model_validate({**values, **changes})


def _training_size(data: str, seed: int) -> tuple[int, int]:
    # xarray and torch take seconds to import, which `napari-qpi train --help` need not wait for.
    from qpi_kernels.simulate.datasets.read_dataset import read_qpi_dataset
    from qpi_kernels.train.dataset_batches import DatasetSplit

    split = DatasetSplit.of_dataset(read_qpi_dataset(data), seed)
    return len(split.kernels), len(split.observations)
