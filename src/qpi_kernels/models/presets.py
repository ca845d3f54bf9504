"""Sizes and representations of the networks, by name."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from qpi_kernels.models.representation import KernelRepresentation

__all__ = ["PRESETS", "InputKind", "ModelPreset"]

InputKind = Literal["maps", "estimates"]


class ModelPreset(BaseModel):
    """Sizes and inputs of a set of networks: kernel VAE, observation encoder and baseline."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Name of the preset.")
    channels: tuple[int, ...] = Field(
        description="Feature channels at each resolution; every stage but the last halves it."
    )
    layers: int = Field(ge=1, description="Residual layers per stage.")
    groups: int = Field(ge=1, description="Groups of the group normalisation.")
    latent_channels: int = Field(default=4, ge=1, description="Channels of the latent.")
    representation: KernelRepresentation = Field(
        default=KernelRepresentation(), description="How the kernel VAE sees kernels."
    )
    inputs: InputKind = Field(
        default="maps",
        description=(
            "What the observation encoder sees: observation and activation, as published; or "
            "estimates of the kernel that a few steps of least squares make of the two."
        ),
    )
    baseline_inputs: InputKind = Field(
        default="maps", description="What the one-step baseline sees; maps, as published."
    )
    pretrained: str | None = Field(
        default=None, description="Hub id or folder of the weights that training starts from."
    )

    @property
    def autoencoder(self) -> dict[str, Any]:
        """Arguments of `diffusers.AutoencoderKL` but for the channels in and out."""
        stages = len(self.channels)
        return {
            "down_block_types": ("DownEncoderBlock2D",) * stages,
            "up_block_types": ("UpDecoderBlock2D",) * stages,
            "block_out_channels": self.channels,
            "layers_per_block": self.layers,
            "latent_channels": self.latent_channels,
            "norm_num_groups": self.groups,
            "sample_size": 64,
        }


PRESETS = {
    "compact": ModelPreset(
        name="compact", channels=(24, 48, 64, 80), layers=1, groups=8, inputs="estimates"
    ),
    # The architecture of SDXL's autoencoder, whose weights it starts from.
    "paper": ModelPreset(
        name="paper",
        channels=(128, 256, 512, 512),
        layers=2,
        groups=32,
        representation=KernelRepresentation(kind="min_max"),
        pretrained="madebyollin/sdxl-vae-fp16-fix",
    ),
}
"""``compact`` trains on a CPU and ships with the plugin; ``paper`` is arXiv 2506.05325."""
