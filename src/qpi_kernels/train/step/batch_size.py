"""The batch size that fits into a device's memory, and the rate that goes with it."""

from __future__ import annotations

import math
from typing import Any

import torch
from accelerate import Accelerator

from qpi_kernels.devices import ran_out_of_memory
from qpi_kernels.simulate.datasets.batches import Batch
from qpi_kernels.train.parameters import TrainingError, TrainingParameters

__all__ = ["chosen_batch_size", "largest_batch_size", "with_batch_size"]

# Where memory does not decide; the learning rate is meant for it.
_USUAL_SIZE = 32
_MIN_SIZE, _MAX_SIZE = 8, 512
_SIDE = 64
# Two moments of AdamW, and gradients that are being summed.
_COPIES_OF_WEIGHTS = 3


def with_batch_size(parameters: TrainingParameters, size: int) -> TrainingParameters:
    r"""Fill in the batch size that was left to the memory, with the learning rate for it.

    AdamW's rate grows with the root of the batch: then drift and noise of its steps keep their
    ratio (Malladi et al. 2022, arXiv 2205.10287).

    Parameters
    ----------
    parameters : TrainingParameters
        Those with a batch size of their own are returned as they are.
    size : int
        Samples of a step.
    """
    if parameters.batch_size:
        return parameters
    rate = parameters.learning_rate * math.sqrt(size / _USUAL_SIZE)
    return parameters.model_copy(update={"batch_size": size, "learning_rate": rate})


def chosen_batch_size(stage: Any, parameters: TrainingParameters, accelerator: Accelerator) -> int:
    """Choose a training's batch size over all processes by memory on CUDA, else the usual one.

    Parameters and errors are those of `largest_batch_size`.
    """
    if accelerator.device.type != "cuda":
        return _USUAL_SIZE
    processes: int = accelerator.num_processes
    return processes * largest_batch_size(stage, parameters, accelerator)


def largest_batch_size(stage: Any, parameters: TrainingParameters, accelerator: Accelerator) -> int:
    """Find the largest power of two of samples whose gradients fit into the device's memory.

    Parameters
    ----------
    stage : torch.nn.Module
        On its device; without gradients afterwards.
    parameters : TrainingParameters
        What is trained.
    accelerator : Accelerator
        Knows device and precision.

    Returns
    -------
    int
        8 to 512.

    Raises
    ------
    TrainingError
        If not even 8 samples fit.
    """
    weights = [weight for weight in stage.parameters() if weight.requires_grad]
    taken = [torch.empty_like(one) for one in weights for _ in range(_COPIES_OF_WEIGHTS)]
    size = _MIN_SIZE
    while size <= _MAX_SIZE and _fits(stage, size, parameters, accelerator):
        size *= 2
    del taken
    if size == _MIN_SIZE:
        raise TrainingError(
            f"memory does not suffice for a batch of {size}: choose the preset compact or another "
            "device"
        )
    return size // 2


def _fits(stage: Any, size: int, parameters: TrainingParameters, accelerator: Accelerator) -> bool:
    """Tell whether gradients of so many samples fit."""
    side = _SIDE * (2 if parameters.larger_maps else 1)
    device = accelerator.device
    try:
        maps = torch.rand(2, size, 1, side, side, device=device)
        batch = Batch(
            kernel=torch.rand(size, 1, _SIDE, _SIDE, device=device),
            observation=maps[0],
            activation=maps[1].round(),
            fold=torch.zeros(size, dtype=torch.int64, device=device),
        )
        noise = torch.rand(stage.latent_shape(batch), device=device)
        with accelerator.autocast():
            loss = stage(batch, noise)["loss"]
        loss.backward()
    except RuntimeError as error:
        if not ran_out_of_memory(error):
            raise
        return False
    finally:
        stage.zero_grad()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return True
