"""The factor between what samples spread and what a network errs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

from qpi_kernels.models import KernelModel
from qpi_kernels.models.networks import OneStepNetwork
from qpi_kernels.models.presets import ModelPreset
from qpi_kernels.models.representation import KernelRepresentation
from qpi_kernels.simulate.datasets.batches import Batch
from qpi_kernels.train.calibration import std_factor

TINY = ModelPreset(name="tiny", channels=(8, 8, 8, 8), layers=1, groups=4)


def model(log_variance: float) -> KernelModel:
    """A network without training whose latent has about this log-variance."""
    torch.manual_seed(0)
    network = OneStepNetwork.of_preset(TINY).eval()
    with torch.no_grad():
        network.network.quant_conv.bias[4:] = log_variance
        network.network.quant_conv.weight[4:] = 0
    return KernelModel("one_step", KernelRepresentation(), {"one_step": network})


def batches() -> list[Batch]:
    generator = torch.Generator().manual_seed(1)
    return [
        Batch(
            kernel=torch.randn(4, 1, 16, 16, generator=generator),
            observation=torch.randn(4, 1, 16, 16, generator=generator),
            activation=torch.zeros(4, 1, 16, 16),
        )
        for _ in range(2)
    ]


class Straight(torch.nn.Module):
    """A network that shows its latent as the kernel: normal numbers of deviation 0.25 about 0.5."""

    inputs = "maps"

    def __init__(self) -> None:
        super().__init__()
        self.mean = torch.nn.Parameter(torch.tensor(0.5))

    def encode(self, seen: torch.Tensor) -> DiagonalGaussianDistribution:
        mean = self.mean * torch.ones(len(seen), 1, 16, 16)
        return DiagonalGaussianDistribution(
            torch.cat([mean, torch.full_like(mean, 2 * math.log(0.25))], dim=1)
        )

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        return latent


def test_the_factor_is_the_error_over_the_spread() -> None:
    network = KernelModel("one_step", KernelRepresentation(), {"one_step": Straight()})
    true = torch.cat([network.representation.encode(batch["kernel"]) for batch in batches()])
    error = float((true - 0.5).square().mean().sqrt())
    assert std_factor(network, batches()) == pytest.approx(error / 0.25, rel=0.01)


def test_twice_the_spread_is_half_the_factor() -> None:
    narrow, wide = (std_factor(model(value), batches()) for value in (-10, -10 + 2 * math.log(2)))
    assert narrow == pytest.approx(2 * wide, rel=0.05)


def test_no_spread_at_all_gives_a_number() -> None:
    assert 0 < std_factor(model(-1000.0), batches()) < float("inf")


def test_it_is_the_same_each_time() -> None:
    again = replace(model(-4.0), std_factor=3.0)
    assert std_factor(model(-4.0), batches()) == std_factor(again, batches())
