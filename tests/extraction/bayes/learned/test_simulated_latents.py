"""The latents that come with the package: those of the bundled network, and read only for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from qpi_kernels.extraction.bayes.learned import simulated_latents
from qpi_kernels.extraction.bayes.learned.simulated_latents import (
    fit_latent_prior,
    prepare_latent_prior,
)
from qpi_kernels.models import latent_prior, load_model
from qpi_kernels.models.latent_prior import LatentPrior, bundled_latent_prior
from qpi_kernels.progress import finish

CPU = torch.device("cpu")


def covariance(prior: LatentPrior) -> torch.Tensor:
    """Multiply the root by itself: unlike its columns this has no free sign or order."""
    return prior.root @ prior.root.T


def test_the_bundled_network_needs_no_simulation() -> None:
    work = prepare_latent_prior(load_model(), None, CPU)
    with pytest.raises(StopIteration) as end:
        next(work)
    prior = end.value.value
    assert prior.mean.dtype == torch.float64
    numbers = torch.randn(3, prior.size, dtype=torch.float64)
    torch.testing.assert_close(prior.numbers(prior.latents(numbers)), numbers, atol=1e-4, rtol=0)


@pytest.mark.slow
def test_the_bundled_latents_are_those_of_the_simulation_and_the_network() -> None:
    model = load_model()
    bundled = bundled_latent_prior(model.digest, list(simulated_latents.ENCODED_FAMILIES))
    fresh = finish(fit_latent_prior(model, None, CPU))
    assert bundled is not None
    torch.testing.assert_close(bundled.mean, fresh.mean, rtol=0, atol=1e-4)
    away = covariance(bundled) - covariance(fresh)
    assert float(away.norm()) < 1e-4 * float(covariance(fresh).norm())


def test_another_network_and_other_families_are_encoded_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(simulated_latents, "_SIMULATED", 16)
    monkeypatch.setattr(simulated_latents, "_PRIORS", {})
    model = load_model()
    assert bundled_latent_prior("another model", list(simulated_latents.ENCODED_FAMILIES)) is None
    few = ["free_electrons", "rashba"]
    assert bundled_latent_prior(model.digest, few) is None
    prior = finish(prepare_latent_prior(model, few, CPU))
    assert prior.size <= 16
    assert finish(prepare_latent_prior(model, few, CPU)) is prior


def test_a_file_is_read_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prior = LatentPrior.of(torch.randn(9, 12, dtype=torch.float64))
    path = prior.save(tmp_path / "latents.safetensors", "a model", ["rashba"])
    monkeypatch.setattr(latent_prior, "BUNDLED_LATENTS", path)
    latent_prior._bundled.cache_clear()
    try:
        again = bundled_latent_prior("a model", ["rashba"])
    finally:
        latent_prior._bundled.cache_clear()
    assert again is not None
    torch.testing.assert_close(again.mean, prior.mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(again.root, prior.root, rtol=1e-6, atol=1e-6)
