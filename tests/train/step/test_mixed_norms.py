"""Normalisations of mixed precision: as exact as their input, and float32 as before."""

from __future__ import annotations

import copy

import pytest
import torch

from qpi_kernels.models.networks import make_kernel_vae
from qpi_kernels.models.presets import ModelPreset
from qpi_kernels.train.step.mixed_norms import MixedGroupNorm, use_mixed_norms

TINY = ModelPreset(name="tiny", channels=(8, 8, 8, 8), layers=1, groups=4)


def test_bfloat16_is_normalised_as_exactly_as_it_is_given() -> None:
    generator = torch.Generator().manual_seed(0)
    images = (3 + 0.5 * torch.randn(2, 8, 16, 16, generator=generator)).to(torch.bfloat16)
    norm = MixedGroupNorm(4, 8)
    with torch.no_grad():
        norm.weight.normal_(1, 0.2, generator=generator)
        norm.bias.normal_(generator=generator)
    groups = images.double().reshape(2, 4, -1)
    scaled = (groups - groups.mean(-1, keepdim=True)) / groups.std(-1, correction=0, keepdim=True)
    weight, bias = (value.detach()[:, None, None] for value in (norm.weight, norm.bias))
    expected = scaled.view_as(images) * weight + bias
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = norm(images)
    assert found.dtype == torch.bfloat16
    assert float((found.double() - expected).abs().max() / expected.abs().max()) < 1e-2


def test_a_network_keeps_its_weights_and_float32() -> None:
    torch.manual_seed(0)
    plain = make_kernel_vae(TINY)
    mixed = copy.deepcopy(plain)
    use_mixed_norms(mixed)
    assert sum(isinstance(one, MixedGroupNorm) for one in mixed.modules()) > 10
    assert not any(type(one) is torch.nn.GroupNorm for one in mixed.modules())
    assert mixed.state_dict().keys() == plain.state_dict().keys()
    images = torch.randn(2, 1, 16, 16)
    assert torch.equal(mixed.encode(images).latent_dist.mean, plain.encode(images).latent_dist.mean)


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_gradients_of_a_network_are_those_of_float32_but_for_rounding(precision: str) -> None:
    torch.manual_seed(0)
    network = make_kernel_vae(TINY)
    use_mixed_norms(network)
    images = torch.randn(4, 1, 16, 16)

    def gradient() -> torch.Tensor:
        network.zero_grad()
        made = network.decode(network.encode(images).latent_dist.mean).sample
        (made.float() - images).square().mean().backward()
        return torch.cat([weight.grad.flatten() for weight in network.parameters()])  # type: ignore[union-attr]

    exact = gradient()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        found = gradient()
    assert float((found - exact).norm() / exact.norm()) < (0.1 if precision == "bf16" else 1e-6)
