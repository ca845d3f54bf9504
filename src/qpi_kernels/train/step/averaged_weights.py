"""`AveragedWeights`: the decaying average of a network's weights over the steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.training_utils import EMAModel

__all__ = ["AveragedWeights"]


class AveragedWeights:
    """Average weights over the steps, if that is asked for.

    Parameters
    ----------
    weights : sequence of torch.nn.Parameter
        On their device.
    decay : float
        Share of the average that stays at each step; 0 averages nothing.
    """

    def __init__(self, weights: Sequence[torch.nn.Parameter], decay: float) -> None:
        self._weights = list(weights)
        on_gpu = self._weights[0].device.type == "cuda"
        self._average = (
            EMAModel(self._weights, decay=decay, use_ema_warmup=True, foreach=on_gpu)
            if decay
            else None
        )

    def step(self) -> None:
        """Take note of the weights after a step."""
        if self._average is not None:
            self._average.step(self._weights)

    @contextmanager
    def used(self) -> Iterator[None]:
        """Put the average into the network in this block."""
        if self._average is None:
            yield
            return
        self._average.store(self._weights)
        self._average.copy_to(self._weights)
        try:
            yield
        finally:
            self._average.restore(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint, empty if nothing is averaged."""
        return {} if self._average is None else dict(self._average.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load `state_dict`."""
        if self._average is not None:
            self._average.load_state_dict(state)
            self._average.to(self._weights[0].device)
