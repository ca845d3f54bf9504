"""The networks of the two-step method: kernel VAE, observation encoder, one-step baseline."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL, ModelMixin
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution, Encoder

from qpi_kernels.models.kernel_estimates import ESTIMATE_CHANNELS, kernel_estimates
from qpi_kernels.models.presets import InputKind, ModelPreset
from qpi_kernels.models.representation import normalised_observation

__all__ = ["ObservationEncoder", "OneStepNetwork", "make_kernel_vae", "observation_channels"]

_CHANNELS: dict[InputKind, int] = {"maps": 2, "estimates": ESTIMATE_CHANNELS}


def make_kernel_vae(preset: ModelPreset) -> AutoencoderKL:
    """Make the kernel VAE of a preset, untrained: one channel in, one out."""
    return AutoencoderKL(in_channels=1, out_channels=1, **preset.autoencoder)


def observation_channels(
    observation: torch.Tensor,
    activation: torch.Tensor,
    inputs: InputKind,
    window: tuple[int, int] | None = None,
) -> torch.Tensor:
    """Make a network's input from maps.

    Parameters
    ----------
    observation, activation : tensor, (B, 1, rows, columns)
        Missing pixels are NaN.
    inputs : str
        ``maps``: observation, to mean 0 and deviation 1, and activation. ``estimates``: see
        `kernel_estimates`.
    window : tuple of int, optional
        Height and width of the kernel, for ``estimates``; left out, those of the maps.

    Returns
    -------
    tensor, (B, 2, rows, columns) or (B, 5, h, w)
    """
    if inputs == "estimates":
        rows, columns = observation.shape[-2:]
        return kernel_estimates(observation, activation, window or (rows, columns))
    return torch.cat([normalised_observation(observation), activation], dim=1)


class ObservationEncoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Encode maps to the latent of their kernel.

    The encoder half of an autoencoder with as many channels as `observation_channels` gives.

    Parameters
    ----------
    inputs : str
        See `observation_channels`.
    channels : sequence of int
        Feature channels at each resolution.
    layers, groups, latent_channels : int
        As for `ModelPreset`.
    """

    config_name = "config.json"

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        inputs: InputKind = "maps",
        channels: tuple[int, ...] = (24, 48, 64, 80),
        layers: int = 1,
        groups: int = 8,
        latent_channels: int = 4,
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.encoder = Encoder(
            in_channels=_CHANNELS[inputs],
            out_channels=latent_channels,
            down_block_types=("DownEncoderBlock2D",) * len(channels),
            block_out_channels=tuple(channels),
            layers_per_block=layers,
            norm_num_groups=groups,
            double_z=True,
        )
        self.quant_conv = torch.nn.Conv2d(2 * latent_channels, 2 * latent_channels, 1)

    @classmethod
    def of_preset(cls, preset: ModelPreset) -> ObservationEncoder:
        """Make the encoder of a preset, untrained."""
        made: ObservationEncoder = cls(
            preset.inputs,
            preset.channels,
            preset.layers,
            preset.groups,
            preset.latent_channels,
        )
        return made

    def forward(self, channels: torch.Tensor) -> DiagonalGaussianDistribution:
        """Encode `observation_channels` to the distribution of the kernel's latent."""
        return DiagonalGaussianDistribution(self.quant_conv(self.encoder(channels)))


class OneStepNetwork(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Map observations to their kernel by one autoencoder: the baseline.

    Parameters
    ----------
    inputs : str
        See `observation_channels`.
    autoencoder : dict
        Arguments of `diffusers.AutoencoderKL`.
    """

    config_name = "config.json"

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self, inputs: InputKind = "maps", autoencoder: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.network = AutoencoderKL(
            in_channels=_CHANNELS[inputs], out_channels=1, **(autoencoder or {})
        )

    @classmethod
    def of_preset(cls, preset: ModelPreset) -> OneStepNetwork:
        """Make the baseline of a preset, untrained."""
        made: OneStepNetwork = cls(preset.baseline_inputs, preset.autoencoder)
        return made

    def encode(self, channels: torch.Tensor) -> DiagonalGaussianDistribution:
        """Encode `observation_channels` to the distribution of the baseline's own latent."""
        latent: DiagonalGaussianDistribution = self.network.encode(channels).latent_dist
        return latent

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """Decode latents to kernels (B, 1, rows, columns) in the model's representation."""
        kernel: torch.Tensor = self.network.decode(latent).sample
        return kernel
