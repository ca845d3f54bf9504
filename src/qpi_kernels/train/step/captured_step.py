"""`CapturedSteps`: optimiser steps recorded once as a CUDA graph and replayed."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import torch

from qpi_kernels.simulate.datasets.batches import Batch

__all__ = ["CapturedSteps", "Losses", "StepFunction"]

Losses = dict[str, torch.Tensor]
StepFunction = Callable[[Batch, torch.Tensor], Losses]
Shapes = tuple[tuple[str, tuple[int, ...]], ...]

# Libraries and the optimiser's state are set up in them.
_EAGER_STEPS = 2
# Maps come in two sizes; more are not worth their memory.
_MAX_GRAPHS = 3


class CapturedSteps:
    """Replay a step that consists of thousands of small kernels with one launch.

    The first steps of each shape of batch run as they are, the next is recorded, all later ones are
    replayed: the same kernels on the same memory. A step must not wait for the device, and must
    leave no gradients.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Used by the steps; its rate is a tensor on the device.
    device : torch.device
        A CUDA device.
    """

    def __init__(self, optimizer: Any, device: torch.device) -> None:
        self._optimizer = optimizer
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()
        self._made: Counter[Shapes] = Counter()
        self._graphs: dict[Shapes, _Graph] = {}

    def __call__(self, step: StepFunction, batch: Batch, noise: torch.Tensor) -> Losses:
        """Make an optimiser step.

        Parameters
        ----------
        step : callable
            Makes a whole optimiser step and returns the losses; the same one each time.
        batch, noise
            What the step takes.

        Raises
        ------
        RuntimeError
            If the step cannot be recorded; nothing was changed then.
        """
        shapes = _shapes(batch, noise)
        graph = self._graphs.get(shapes)
        if graph is None:
            self._made[shapes] += 1
            if self._made[shapes] <= _EAGER_STEPS or len(self._graphs) >= _MAX_GRAPHS:
                return self._beside(step, batch, noise)
            graph = self._graphs[shapes] = self._record(step, batch, noise)
        return graph.replay(batch, noise)

    def _beside(self, step: StepFunction, batch: Batch, noise: torch.Tensor) -> Losses:
        """Make a step on the stream that will record."""
        outer = torch.cuda.current_stream()
        self._stream.wait_stream(outer)
        with torch.cuda.stream(self._stream):
            losses = step(batch, noise)
        outer.wait_stream(self._stream)
        return losses

    def _record(self, step: StepFunction, batch: Batch, noise: torch.Tensor) -> _Graph:
        """Record a step without making it."""
        inputs = {name: cast(torch.Tensor, value).clone() for name, value in batch.items()}
        drawn = noise.clone()
        for group in self._optimizer.param_groups:
            group["capturable"] = True
        recorded, outer = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        # An old recording that is collected during a new one spoils it.
        gc.collect()
        collecting = gc.isenabled()
        gc.disable()
        try:
            # Other threads, such as the one that pins batches, go on calling CUDA.
            with torch.cuda.graph(
                recorded, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
            ):
                losses = step(cast(Batch, inputs), drawn)
                values = torch.stack([value.float() for value in losses.values()])
        except BaseException:  # An interrupt, too: it is raised again below.
            # A recording that fails at its end leaves its stream in use.
            torch.cuda.set_stream(outer)
            raise
        finally:
            if collecting:
                gc.enable()
        return _Graph(recorded, inputs, drawn, tuple(losses), values)


class _Graph:
    """A recorded step with the memory that it reads and writes."""

    def __init__(
        self,
        recorded: torch.cuda.CUDAGraph,
        inputs: dict[str, torch.Tensor],
        noise: torch.Tensor,
        names: tuple[str, ...],
        values: torch.Tensor,
    ) -> None:
        self._recorded = recorded
        self._inputs = inputs
        self._noise = noise
        self._names = names
        self._values = values

    def replay(self, batch: Batch, noise: torch.Tensor) -> Losses:
        """Make the step on another batch of the same shape."""
        for name, value in batch.items():
            self._inputs[name].copy_(cast(torch.Tensor, value), non_blocking=True)
        self._noise.copy_(noise, non_blocking=True)
        self._recorded.replay()
        return dict(zip(self._names, self._values.clone(), strict=True))


def _shapes(batch: Batch, noise: torch.Tensor) -> Shapes:
    """List names and shapes of all that a step reads."""
    shapes = {name: tuple(cast(torch.Tensor, value).shape) for name, value in batch.items()}
    return (*sorted(shapes.items()), ("noise", tuple(noise.shape)))
