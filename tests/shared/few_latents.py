"""The bundled network with fewer directions of latents, which is quicker and hardly worse."""

from __future__ import annotations

import pytest

from qpi_kernels.extraction.bayes.learned import simulated_latents
from qpi_kernels.models import load_model
from qpi_kernels.models.latent_prior import LatentPrior, bundled_latent_prior

__all__ = ["keep_few_directions"]


def keep_few_directions(monkeypatch: pytest.MonkeyPatch, count: int = 48) -> None:
    """Keep the directions of latents in which simulated kernels differ most.

    Each costs a derivative of the decoder for each kind; there are 190.
    """
    prior = bundled_latent_prior(load_model().digest, list(simulated_latents.ENCODED_FAMILIES))
    assert prior is not None
    few = LatentPrior(prior.mean, prior.root[:, :count])
    monkeypatch.setattr(simulated_latents, "bundled_latent_prior", lambda *_: few)
