"""Scaling of kernels and maps of any unit to numbers near one, for networks."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

__all__ = ["KernelRepresentation", "normalised_observation"]


class KernelRepresentation(BaseModel):
    r"""Scaling of kernels for a network.

    ``asinh`` keeps the sign and the zero and compresses the peak,
    :math:`x = \mathrm{asinh}(A / s) / \mathrm{asinh}(1 / s)` with A scaled to a largest absolute
    value of 1, so that a loss also sees the weak oscillations far from the defect. ``min_max``
    stretches each kernel to 0 ... 1 as arXiv 2506.05325 does; it forgets scale and offset.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["asinh", "min_max"] = Field(
        default="asinh", description="asinh amplitude, or the published min-max stretch."
    )
    softness: float = Field(
        default=0.05,
        ge=1e-4,
        le=10,
        allow_inf_nan=False,
        description="Amplitude s, relative to the peak, below which asinh is linear.",
    )

    def encode(self, kernels: torch.Tensor) -> torch.Tensor:
        """Scale kernels (..., h, w) for the network."""
        if self.kind == "min_max":
            low, high = (
                kernels.amin(dim=(-2, -1), keepdim=True),
                kernels.amax(dim=(-2, -1), keepdim=True),
            )
            return (kernels - low) / (high - low).clamp(min=1e-12)
        peak = kernels.abs().amax(dim=(-2, -1), keepdim=True).clamp(min=1e-12)
        return torch.asinh(kernels / (peak * self.softness)) / math.asinh(1 / self.softness)

    def decode(self, values: torch.Tensor) -> torch.Tensor:
        """Undo `encode` up to scale, and offset for ``min_max``."""
        if self.kind == "min_max":
            return values
        return self.softness * torch.sinh(values * math.asinh(1 / self.softness))


def normalised_observation(observation: torch.Tensor) -> torch.Tensor:
    """Normalise observations (..., rows, columns) to mean 0 and deviation 1; missing pixels 0."""
    counted = observation.isfinite()
    number = counted.sum(dim=(-2, -1), keepdim=True).clamp(min=1)
    values = torch.where(counted, observation, 0.0)
    mean = values.sum(dim=(-2, -1), keepdim=True) / number
    centred = torch.where(counted, observation - mean, 0.0)
    spread = (centred.square().sum(dim=(-2, -1), keepdim=True) / number).sqrt()
    return centred / spread.clamp(min=1e-12)
