"""`ProtocolParameters`: parameters of the published data-set protocol."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qpi_kernels.parameters import Count, Parameters, PositiveCount, SignalStd
from qpi_kernels.simulate.maps.artefacts import Artefacts

__all__ = ["ProtocolParameters"]


class ProtocolParameters(Parameters):
    """Parameters of the published data-set protocol that may be changed."""

    kernels: PositiveCount = Field(default=100, le=100)
    """Number of kernels, from number 1 on."""
    observations: PositiveCount = Field(default=500, le=100_000)
    """Observations of each kernel."""
    noise_level: SignalStd = 0.3
    """White noise of the noisy observations, with a third as much 1/f noise and a third as much row
    offset."""
    layout: Literal["netcdf", "csv", "both"] = "both"
    """netcdf: one file per kernel, 16 MB each; csv: the public layout, clean and noisy in two
    folders, 25 MB a file."""
    seed: Count = 0
    """Seed of kernels, positions and noise."""

    @property
    def artefacts(self) -> Artefacts:
        """The noise as artefacts."""
        level = self.noise_level
        return Artefacts(noise=level, flicker=level / 3, row_offsets=level / 3)
