"""Cost of the trainer beside a bare loop of forward, backward and optimiser."""

from __future__ import annotations

import tempfile
from typing import Any

import torch

from qpi_kernels.bench.speed.report import SpeedRow
from qpi_kernels.bench.speed.timing import alternate
from qpi_kernels.simulate.datasets.batches import Batch
from qpi_kernels.train.parameters import StageName, TrainingParameters
from qpi_kernels.train.training import Training

__all__ = ["training_rows"]

_LIMIT = 1.15
# Small and many, for a busy machine disturbs long steps more.
_BATCH_SIZE, _SIDE = 8, 64
_PAIRS = 4


def training_rows(repeats: int = 7) -> list[SpeedRow]:
    """Measure the trainer's step of each stage, on given and on freshly simulated batches.

    Parameters
    ----------
    repeats : int
        A quarter of the timed pairs of steps, which take turns.

    Returns
    -------
    list of SpeedRow
        A step of the compact model against the same model, loss and optimiser on random tensors.
    """
    stages: tuple[StageName, ...] = ("kernels", "alignment", "one-step")
    return [_row(stage, repeats, simulated) for stage in stages for simulated in (False, True)]


def _row(stage: StageName, repeats: int, simulated: bool) -> SpeedRow:
    """Time steps of a stage's trainer against a bare loop."""
    random = _random_batch()
    with tempfile.TemporaryDirectory() as folder:
        if stage == "alignment":
            # It stands on a kernel VAE; what that has learnt does not change the time.
            _training(folder, "kernels").stop()
        trainer = _training(folder, stage, None if simulated else random)
        bare = _BareLoop(trainer, random)
        ours, theirs = alternate(trainer.step, bare.step, _PAIRS * repeats)
    data = "simulating the batch too" if simulated else "on a given batch"
    return SpeedRow(
        claim=(
            f"a step of the trainer, {data} / forward, backward and optimiser alone, stage {stage}"
        ),
        measured=ours / theirs,
        limit=_LIMIT,
        detail=f"{1e3 * ours:.0f} ms / {1e3 * theirs:.0f} ms, {_BATCH_SIZE} samples",
    )


def _training(folder: str, stage: StageName, batch: Batch | None = None) -> Training:
    """Start a training of the compact model on given or simulated batches."""
    parameters = TrainingParameters.model_validate(
        {
            "stage": stage,
            "batch_size": _BATCH_SIZE,
            "device": "cpu",
            "validation_samples": 4,
            "validate_every": 1000,
            "checkpoint_every": 1000,
        }
    )
    given = None if batch is None else [batch] * parameters.steps
    return Training(folder, parameters, batches=given)


def _random_batch() -> Batch:
    """Make a batch of random tensors."""
    image = torch.randn(3, _BATCH_SIZE, 1, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    return Batch(
        kernel=image[0],
        observation=image[1],
        activation=(image[2] > 2).float(),
        fold=torch.tensor([1, 2, 3, 4, 6, 2, 3, 4]),
    )


class _BareLoop:
    """The same model and loss as a training has, on one batch of random tensors."""

    def __init__(self, training: Training, batch: Batch) -> None:
        self._stage: Any = training.stage
        weights = [weight for weight in training.network.parameters() if weight.requires_grad]
        self._optimizer = torch.optim.AdamW(
            weights, lr=training.parameters.learning_rate, fused=True
        )
        self._batch = batch
        self._noise = torch.randn(self._stage.latent_shape(batch))

    def step(self) -> None:
        """Make one optimiser step."""
        self._optimizer.zero_grad()
        self._stage(self._batch, self._noise)["loss"].backward()
        self._optimizer.step()
