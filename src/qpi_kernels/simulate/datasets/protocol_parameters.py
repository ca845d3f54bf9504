"""`ProtocolParameters`: what may be changed of the published data-set protocol."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from qpi_kernels.simulate.maps.artefacts import Artefacts

__all__ = ["ProtocolParameters"]


class ProtocolParameters(BaseModel):
    """What may be changed of the published protocol; units and help stand in the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kernels: int = Field(
        default=100, ge=1, le=100, description="Number of kernels, from number 1 on."
    )
    observations: int = Field(
        default=500, ge=1, le=100_000, description="Observations of each kernel."
    )
    noise_level: float = Field(
        default=0.3,
        ge=0,
        description=(
            "White noise of the noisy observations, with a third as much 1/f noise and a third as "
            "much row offset."
        ),
        json_schema_extra={"unit": "signal std"},
    )
    layout: Literal["netcdf", "csv", "both"] = Field(
        default="both",
        description=(
            "netcdf: one file per kernel, 16 MB each; csv: the public layout, clean and noisy in "
            "two folders, 25 MB a file."
        ),
    )
    seed: int = Field(default=0, ge=0, description="Seed of kernels, positions and noise.")

    @property
    def artefacts(self) -> Artefacts:
        """The noise as artefacts."""
        level = self.noise_level
        return Artefacts(noise=level, flicker=level / 3, row_offsets=level / 3)
