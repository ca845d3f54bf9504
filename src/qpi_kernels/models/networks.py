"""The networks of the two-step method: kernel VAE, observation encoder, one-step baseline."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL, ModelMixin
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution, Encoder

from qpi_kernels.models.presets import ModelPreset
from qpi_kernels.models.representation import normalised_observation

__all__ = ["ObservationEncoder", "OneStepNetwork", "make_kernel_vae", "observation_channels"]

_DIVISORS = (1.0, 0.1, 0.01)


def make_kernel_vae(preset: ModelPreset) -> AutoencoderKL:
    """Make the kernel VAE of a preset, untrained: one channel in, one out."""
    return AutoencoderKL(in_channels=1, out_channels=1, **preset.autoencoder)


def observation_channels(
    observation: torch.Tensor, activation: torch.Tensor, inputs: str
) -> torch.Tensor:
    r"""What a network sees of maps.

    Observation and activation; with ``maps_and_estimates`` also kernels from Fourier division,

    .. math:: \hat A = \frac{\hat M^* \hat Y}{|\hat M|^2 + \lambda \langle |\hat M|^2 \rangle}

    at three strengths lambda, from nearly a matched filter to nearly an inverse, each divided by
    its root mean square and compressed by asinh, for kernels are spiky. Boundaries are linear
    (zero padding); the kernel's centre is at ``(rows//2, columns//2)``.

    Parameters
    ----------
    observation, activation : tensor, (B, 1, rows, columns)
        Missing pixels are NaN.
    inputs : str
        ``maps`` or ``maps_and_estimates``.

    Returns
    -------
    tensor, (B, 2 or 5, rows, columns)
    """
    shown = normalised_observation(observation)
    if inputs == "maps":
        return torch.cat([shown, activation], dim=1)
    rows, columns = observation.shape[-2:]
    size = (2 * rows, 2 * columns)
    image, marks = torch.fft.rfft2(shown, s=size), torch.fft.rfft2(activation, s=size)
    power = marks.abs().square()
    level = power.mean(dim=(-2, -1), keepdim=True).clamp(min=1e-12)
    estimates = []
    for divisor in _DIVISORS:
        kernel = torch.fft.irfft2(marks.conj() * image / (power + divisor * level), s=size)
        kernel = torch.roll(kernel, (rows // 2, columns // 2), dims=(-2, -1))
        kernel = kernel[..., :rows, :columns]
        spread = kernel.square().mean(dim=(-2, -1), keepdim=True).sqrt().clamp(min=1e-12)
        estimates.append(torch.asinh(kernel / spread))
    return torch.cat([shown, activation, *estimates], dim=1)


class ObservationEncoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Encodes maps to the latent of the kernel that they hold.

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
        inputs: str = "maps",
        channels: tuple[int, ...] = (24, 48, 64, 80),
        layers: int = 1,
        groups: int = 8,
        latent_channels: int = 4,
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.encoder = Encoder(
            in_channels=2 if inputs == "maps" else 2 + len(_DIVISORS),
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

    def forward(
        self, observation: torch.Tensor, activation: torch.Tensor
    ) -> DiagonalGaussianDistribution:
        """Distribution of the kernel's latent, (B, latent, rows/8, columns/8)."""
        seen = observation_channels(observation, activation, self.inputs)
        return DiagonalGaussianDistribution(self.quant_conv(self.encoder(seen)))


class OneStepNetwork(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """The baseline: one autoencoder from maps straight to the kernel, of the same size.

    Parameters
    ----------
    inputs : str
        See `observation_channels`.
    autoencoder : dict
        Arguments of `diffusers.AutoencoderKL`.
    """

    config_name = "config.json"

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, inputs: str = "maps", autoencoder: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.inputs = inputs
        channels = 2 if inputs == "maps" else 2 + len(_DIVISORS)
        self.network = AutoencoderKL(in_channels=channels, out_channels=1, **(autoencoder or {}))

    @classmethod
    def of_preset(cls, preset: ModelPreset) -> OneStepNetwork:
        """Make the baseline of a preset, untrained."""
        made: OneStepNetwork = cls(preset.inputs, preset.autoencoder)
        return made

    def encode(
        self, observation: torch.Tensor, activation: torch.Tensor
    ) -> DiagonalGaussianDistribution:
        """Distribution of the baseline's own latent."""
        seen = observation_channels(observation, activation, self.inputs)
        latent: DiagonalGaussianDistribution = self.network.encode(seen).latent_dist
        return latent

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """Kernel (B, 1, rows, columns) in the model's representation."""
        kernel: torch.Tensor = self.network.decode(latent).sample
        return kernel
