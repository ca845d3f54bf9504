"""The learning rate at each step."""

from __future__ import annotations

import math

from qpi_kernels.train.parameters import TrainingParameters

__all__ = ["learning_rate"]


def learning_rate(parameters: TrainingParameters, step: int) -> float:
    """Compute the rate: linear warm-up, then half a cosine to a fiftieth, or falls by steps."""
    if step < parameters.warmup:
        return parameters.learning_rate * (step + 1) / parameters.warmup
    if parameters.schedule == "steps":
        falls: int = step // parameters.decay_every
        return float(parameters.learning_rate * parameters.decay**falls)
    span = max(parameters.steps - parameters.warmup, 1)
    cosine = 0.5 * (1 + math.cos(math.pi * (step - parameters.warmup) / span))
    return parameters.learning_rate * (0.02 + 0.98 * cosine)
