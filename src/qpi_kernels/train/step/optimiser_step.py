"""`OptimiserStep`: forward, backward, clip and AdamW of a stage, within memory, without waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from accelerate import Accelerator

from qpi_kernels.devices import ran_out_of_memory
from qpi_kernels.simulate.datasets.batches import Batch
from qpi_kernels.train.parameters import TrainingError, TrainingParameters
from qpi_kernels.train.step.captured_step import CapturedSteps, Losses

__all__ = ["OptimiserStep", "make_optimizer", "plain_state", "restore_state"]

# Choices of how AdamW runs, which go with the device and not with a checkpoint.
_WAYS = ("fused", "foreach", "capturable")
_FUSED_ON = ("cpu", "cuda")


class OptimiserStep:
    """Make optimiser steps of a stage.

    On one CUDA device without scaled losses (fp16) the whole step is a CUDA graph, see
    `CapturedSteps`; where it cannot be recorded, steps run as they are and a note says so. A
    batch for which memory does not suffice is halved, again and again: gradients of its portions
    add up to those of the batch, so the training is the same up to rounding.

    Parameters
    ----------
    module : torch.nn.Module
        The stage, as `accelerator` prepared it: returns losses, of which ``loss`` is minimised.
    optimizer : torch.optim.Optimizer
        From `make_optimizer`, prepared.
    weights : sequence of torch.nn.Parameter
        What is trained.
    accelerator : Accelerator
        Knows device, precision and processes.
    clip : float
        Largest norm of the gradient; 0 for any.
    compiled : bool
        Compile the stage by `torch.compile`.

    Attributes
    ----------
    notes : list of str
        What went otherwise than asked: sentences.
    portions : int
        Portions in which a batch's gradients are computed.
    """

    def __init__(
        self,
        module: Any,
        optimizer: Any,
        weights: Sequence[torch.nn.Parameter],
        accelerator: Accelerator,
        *,
        clip: float = 0.0,
        compiled: bool = False,
    ) -> None:
        self.notes: list[str] = []
        self.portions = 1
        self._module = module
        self._optimizer = optimizer
        self._weights = list(weights)
        self._accelerator = accelerator
        self._clip = clip
        self._unproven = compiled
        if compiled:
            module.compile(dynamic=False)
        self._captured: CapturedSteps | None = None
        self._alone = accelerator.num_processes == 1
        if accelerator.device.type == "cuda" and self._alone and accelerator.scaler is None:
            # A replayed step reads the rate from the device.
            for group in optimizer.param_groups:
                group["lr"] = torch.tensor(float(group["lr"]), device=accelerator.device)
            self._capture()

    @property
    def captured(self) -> bool:
        """True if steps are CUDA graphs, after the first ones of each shape."""
        return self._captured is not None

    def __call__(self, batch: Batch, noise: torch.Tensor, rate: float) -> Losses:
        """Make a step at a learning rate and return its losses, on the device.

        Raises
        ------
        TrainingError
            If memory does not suffice for a single sample.
        """
        for group in self._optimizer.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        while True:
            try:
                return self._step(batch, noise)
            except _MemoryExhaustedError as error:
                reason = str(error)
            # Outside the handler, whose traceback holds the tensors.
            self._halve(len(batch["kernel"]), reason)

    def _step(self, batch: Batch, noise: torch.Tensor) -> Losses:
        """Make a step, replayed where that is possible."""
        if self._captured is None:
            return self._eager(batch, noise)
        try:
            return self._captured(self._eager, batch, noise)
        except _MemoryExhaustedError:
            raise
        except RuntimeError as error:
            if ran_out_of_memory(error):
                raise _MemoryExhaustedError(str(error)) from None
            self._captured = None
            self.notes.append(
                f"steps are not recorded as a CUDA graph and take longer ({_first_line(error)})"
            )
            self._optimizer.zero_grad()
        return self._eager(batch, noise)

    def _eager(self, batch: Batch, noise: torch.Tensor) -> Losses:
        """Make a step, an operation after the other."""
        try:
            losses = self._gradients(batch, noise)
        except RuntimeError as error:
            if not ran_out_of_memory(error):
                raise
            raise _MemoryExhaustedError(str(error)) from None
        if self._clip:
            self._accelerator.clip_grad_norm_(self._weights, self._clip)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return losses

    def _gradients(self, batch: Batch, noise: torch.Tensor) -> Losses:
        """Compute losses and gradients; without `torch.compile` if it fails at its first step."""
        if not self._unproven:
            return self._summed(batch, noise)
        self._unproven = False
        try:
            return self._summed(batch, noise)
        except Exception as error:
            if ran_out_of_memory(error):
                raise
            self._module._compiled_call_impl = None
            self.notes.append(f"steps are not compiled ({_first_line(error)})")
        self._optimizer.zero_grad()
        return self._summed(batch, noise)

    def _summed(self, batch: Batch, noise: torch.Tensor) -> Losses:
        """Add up losses and gradients of the portions of a batch."""
        if self.portions == 1:
            losses: Losses = self._module(batch, noise)
            self._accelerator.backward(losses["loss"])
            return {name: value.detach() for name, value in losses.items()}
        total: Losses = {}
        size = len(noise)
        for places in torch.arange(size).tensor_split(self.portions):
            first, last = int(places[0]), int(places[-1]) + 1
            part = {name: cast(Any, value)[first:last] for name, value in batch.items()}
            losses = self._module(cast(Batch, part), noise[first:last])
            share = (last - first) / size
            self._accelerator.backward(losses["loss"] * share)
            for name, value in losses.items():
                total[name] = total.get(name, 0.0) + share * value.detach()
        return total

    def _halve(self, size: int, reason: str) -> None:
        """Compute gradients in twice as many portions from now on."""
        self._optimizer.zero_grad()
        self._captured = None
        if self._accelerator.device.type == "cuda":
            torch.cuda.empty_cache()
        if not self._alone or 2 * self.portions > size:
            raise TrainingError(
                f"memory does not suffice for a batch of {size // self.portions}: choose a smaller "
                f"batch_size, the preset compact or another device ({reason.splitlines()[0]})"
            )
        self.portions *= 2
        self.notes.append(
            f"memory does not suffice for {2 * size // self.portions} samples at once: gradients "
            f"are added up over {size // self.portions} at a time"
        )
        if self._accelerator.device.type == "cuda" and self._accelerator.scaler is None:
            self._capture()

    def _capture(self) -> None:
        """Record the steps to come."""
        self._captured = CapturedSteps(self._optimizer, self._accelerator.device)


class _MemoryExhaustedError(Exception):
    """Memory did not suffice before any weight was changed."""


def make_optimizer(
    parameters: TrainingParameters, weights: Sequence[torch.nn.Parameter], device: torch.device
) -> torch.optim.AdamW:
    """Make AdamW for weights on a device, in one pass over them where torch can."""
    return torch.optim.AdamW(
        weights,
        lr=parameters.learning_rate,
        weight_decay=parameters.weight_decay,
        fused=True if device.type in _FUSED_ON else None,
    )


def plain_state(optimizer: Any) -> dict[str, Any]:
    """Return an optimiser's state for a checkpoint, free of the device that it ran on."""
    state: dict[str, Any] = optimizer.state_dict()
    for group in state["param_groups"]:
        group |= {"lr": float(group["lr"]), "capturable": False, "fused": None}
    return state


def restore_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load `plain_state` into an optimiser whose weights lie on their device already."""
    groups = [
        {**saved, **{name: own[name] for name in _WAYS}}
        for saved, own in zip(state["param_groups"], optimizer.param_groups, strict=True)
    ]
    optimizer.load_state_dict({**state, "param_groups": groups})
    for weight, kept in optimizer.state.items():
        for name, value in kept.items():
            if value.shape == weight.shape:
                # AdamW in one launch goes through weights and moments in their order in memory.
                kept[name] = torch.empty_like(weight).copy_(value)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
