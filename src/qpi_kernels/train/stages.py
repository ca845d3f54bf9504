"""Networks and losses of the training stages."""

from __future__ import annotations

from typing import Protocol

import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

from qpi_kernels.models.networks import ObservationEncoder, OneStepNetwork, observation_channels
from qpi_kernels.models.presets import InputKind
from qpi_kernels.models.representation import KernelRepresentation
from qpi_kernels.simulate.datasets.batches import Batch
from qpi_kernels.train.parameters import TrainingParameters
from qpi_kernels.train.symmetric_loss import symmetric_loss

__all__ = ["AlignmentStage", "KernelStage", "OneStepStage", "Stage"]

Losses = dict[str, torch.Tensor]


class Stage(Protocol):
    """A network and its loss; a module, so that gradients of its parts are shared out together."""

    def latent_shape(self, batch: Batch) -> tuple[int, ...]:
        """Return the shape of the latent noise of a batch."""
        ...

    def __call__(self, batch: Batch, noise: torch.Tensor) -> Losses:
        """Compute the losses of a batch; ``loss`` is what is minimised."""
        ...

    def predict(self, batch: Batch) -> torch.Tensor:
        """Predict kernels (B, 1, h, w) in the network's representation, without noise."""
        ...


def _divergence(latent: DiagonalGaussianDistribution) -> torch.Tensor:
    """Compute -1/2 mean(1 + log var - mean^2 - var), as published."""
    divergence: torch.Tensor = -0.5 * (1 + latent.logvar - latent.mean.square() - latent.var).mean()
    return divergence


def _divergence_to_error(
    squares: torch.Tensor, found: DiagonalGaussianDistribution
) -> torch.Tensor:
    """Compute 1/2 mean(log var + squares/var), smallest where var is the mean square error.

    With the target's own variance in ``squares`` this is the divergence from the target's
    distribution, but for the gradient on the mean, which it would weigh by certainty.
    """
    divergence: torch.Tensor = 0.5 * (found.logvar + squares / found.var).mean()
    return divergence


def _seen(batch: Batch, inputs: InputKind) -> torch.Tensor:
    """Stack the network's inputs from observations and marks."""
    rows, columns = batch["kernel"].shape[-2:]
    return observation_channels(batch["observation"], batch["activation"], inputs, (rows, columns))


class _NetworkStage(torch.nn.Module):
    """A network that is trained, in a representation of kernels."""

    def __init__(
        self,
        network: torch.nn.Module,
        representation: KernelRepresentation,
        parameters: TrainingParameters,
    ) -> None:
        super().__init__()
        self.network = network
        self.representation = representation
        self.parameters_ = parameters


class KernelStage(_NetworkStage):
    """Stage 1: the kernel VAE reconstructs kernels, and their rotations by their symmetry."""

    network: AutoencoderKL

    def latent_shape(self, batch: Batch) -> tuple[int, ...]:
        """Return the latents' shape: an eighth of the kernel's size."""
        return _latent_shape(batch, self.network.config.latent_channels)

    def forward(self, batch: Batch, noise: torch.Tensor) -> Losses:
        """Sum MSE, symmetric loss and divergence."""
        kernel = self.representation.encode(batch["kernel"])
        latent = self.network.encode(kernel).latent_dist
        made = self.network.decode(latent.mean + latent.std * noise).sample
        squared = (made - kernel).square().mean()
        losses = {"squared": squared, "divergence": _divergence(latent)}
        total = squared + self.parameters_.divergence_weight * losses["divergence"]
        if self.parameters_.symmetric_weight:
            losses["symmetric"] = symmetric_loss(made, kernel, batch["fold"])
            total = total + self.parameters_.symmetric_weight * losses["symmetric"]
        return {"loss": total, **losses}

    def predict(self, batch: Batch) -> torch.Tensor:
        """Encode to the mean and decode."""
        kernel = self.representation.encode(batch["kernel"])
        made: torch.Tensor = self.network.decode(
            self.network.encode(kernel).latent_dist.mean
        ).sample
        return made


class AlignmentStage(_NetworkStage):
    """Stage 2: the observation encoder finds the frozen VAE's latent of the kernel in a map."""

    network: ObservationEncoder

    def __init__(
        self,
        network: ObservationEncoder,
        kernel_vae: AutoencoderKL,
        representation: KernelRepresentation,
        parameters: TrainingParameters,
    ) -> None:
        super().__init__(network, representation, parameters)
        self.kernel_vae = kernel_vae.requires_grad_(False)

    def latent_shape(self, batch: Batch) -> tuple[int, ...]:
        """Return the latents' shape, not used: alignment is without noise."""
        return _latent_shape(batch, self.network.config.latent_channels)

    def forward(self, batch: Batch, noise: torch.Tensor) -> Losses:
        """Sum MSE of mean and log-variance, and of the decoded kernel."""
        kernel = self.representation.encode(batch["kernel"])
        with torch.no_grad():
            target = self.kernel_vae.encode(kernel).latent_dist
        found = self.network(_seen(batch, self.network.inputs))
        wrong = (found.mean - target.mean).square()
        losses = {"mean": wrong.mean()}
        if self.parameters_.log_variance == "published":
            losses["logvar"] = (found.logvar - target.logvar).square().mean()
        else:
            losses["logvar"] = _divergence_to_error(wrong.detach() + target.var, found)
        total = losses["mean"] + losses["logvar"]
        if self.parameters_.decoded_weight:
            made = self.kernel_vae.decode(found.mean).sample
            losses["squared"] = (made - kernel).square().mean()
            total = total + self.parameters_.decoded_weight * losses["squared"]
        return {"loss": total, **losses}

    def predict(self, batch: Batch) -> torch.Tensor:
        """Decode the latent mean."""
        found = self.network(_seen(batch, self.network.inputs))
        made: torch.Tensor = self.kernel_vae.decode(found.mean).sample
        return made


class OneStepStage(_NetworkStage):
    """The baseline: from maps to the kernel, without an aligned latent."""

    network: OneStepNetwork

    def latent_shape(self, batch: Batch) -> tuple[int, ...]:
        """Return the latents' shape: an eighth of the map's size."""
        return _latent_shape(batch, self.network.network.config.latent_channels)

    def forward(self, batch: Batch, noise: torch.Tensor) -> Losses:
        """Sum MSE and divergence."""
        kernel = self.representation.encode(batch["kernel"])
        latent = self.network.encode(_seen(batch, self.network.inputs))
        made = self.network.decode(latent.mean + latent.std * noise)
        squared = (made - kernel).square().mean()
        losses = {"squared": squared, "divergence": _divergence(latent)}
        total = squared + self.parameters_.divergence_weight * losses["divergence"]
        return {"loss": total, **losses}

    def predict(self, batch: Batch) -> torch.Tensor:
        """Decode the latent mean."""
        return self.network.decode(self.network.encode(_seen(batch, self.network.inputs)).mean)


def _latent_shape(batch: Batch, channels: int) -> tuple[int, ...]:
    """Compute the shape of latents of an eighth of the kernel's size."""
    kernel = batch["kernel"]
    return (len(kernel), channels, kernel.shape[-2] // 8, kernel.shape[-1] // 8)
