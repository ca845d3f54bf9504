"""Small data and short trainings: seconds for the whole room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qpi_kernels.models.presets import ModelPreset
from qpi_kernels.train.dataset_batches import DatasetBatches
from qpi_kernels.train.parameters import TrainingParameters
from qpi_kernels.train.training import Training

SIDE, KERNELS, SAMPLES = 16, 8, 4

SMALL = TrainingParameters(
    steps=4, batch_size=8, warmup=1, validate_every=2, checkpoint_every=2, device="cpu"
)

TINY = ModelPreset(name="tiny", channels=(8, 8, 8, 8), layers=1, groups=4, inputs="estimates")


def small_batches(steps: int, seed: int = 0) -> DatasetBatches:
    """Gaussian rings of all sizes, and maps in which one or two of them lie."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((SIDE, SIDE)) - SIDE // 2
    waves = rng.uniform(0.5, 1.5, (KERNELS, 1, 1))
    kernels = np.cos(waves * np.hypot(y, x)) * np.exp(-(y**2 + x**2) / 40)
    activations = np.zeros((KERNELS, SAMPLES, SIDE, SIDE), bool)
    activations[:, :, SIDE // 2, SIDE // 2] = True
    noise = rng.normal(0, 0.1, (KERNELS, SAMPLES, SIDE, SIDE))
    return DatasetBatches(
        kernels,
        kernels[:, None] + noise,
        activations,
        np.zeros(KERNELS, int),
        batch_size=8,
        steps=steps,
        seed=seed,
    )


@pytest.fixture
def held_out() -> DatasetBatches:
    """What the trainings of `make` are validated on."""
    return small_batches(1, seed=1)


Make = Callable[..., Training]


@pytest.fixture
def make() -> Make:
    """Make a training of small networks on small data; parameters unlike `SMALL` by name."""

    def made(
        folder: Path,
        *,
        resume: bool = False,
        preset: ModelPreset = TINY,
        **changes: object,
    ) -> Training:
        parameters = SMALL.model_copy(update=changes)
        return Training(
            folder,
            parameters,
            resume=resume,
            batches=small_batches(parameters.steps),
            validation=small_batches(1, seed=1),
            preset=preset,
        )

    return made
