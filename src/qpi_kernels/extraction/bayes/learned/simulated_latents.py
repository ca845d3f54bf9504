"""The latents of simulated kernels, which are the prior of a trained decoder.

``python -m qpi_kernels.extraction.bayes.learned.simulated_latents`` renews the prior that comes
with the package; run it when the bundled model or the simulated families have changed.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np
import torch

from qpi_kernels.models import load_model
from qpi_kernels.models.folder import KernelModel
from qpi_kernels.models.latent_prior import BUNDLED_LATENTS, LatentPrior, bundled_latent_prior
from qpi_kernels.progress import Event, finish
from qpi_kernels.simulate.families import FAMILIES
from qpi_kernels.simulate.kernel_sampler import KernelSampler

__all__ = ["ENCODED_FAMILIES", "encode", "fit_latent_prior", "prepare_latent_prior"]

ENCODED_FAMILIES = tuple(name for name, family in FAMILIES.items() if family.band_limited)
"""Families of kernels that networks make: atoms finer than pixels sample are none."""

# More would make a step longer than the wait for a cancel should be.
_KERNELS_AT_ONCE = 8
_SIMULATED = 512
_SEED = 905
# Those fitted in this process, by digest and families.
_PRIORS: dict[tuple[str, tuple[str, ...]], LatentPrior] = {}


@torch.no_grad()
def encode(model: KernelModel, kernels: torch.Tensor) -> torch.Tensor:
    """Encode kernels (v, rows, columns) on a model's grid by its VAE."""
    shown = model.representation.encode(kernels.float())
    latents: torch.Tensor = model.networks["kernel_vae"].encode(shown[:, None]).latent_dist.mean
    return latents


def prepare_latent_prior(
    model: KernelModel, families: Sequence[str] | None, device: torch.device
) -> Generator[Event, None, LatentPrior]:
    """Return the bundled prior where it is of the model and the families, else fit one, once.

    Parameters
    ----------
    model, families, device
        As in `fit_latent_prior`.
    """
    key = model.digest, tuple(ENCODED_FAMILIES if families is None else families)
    prior = bundled_latent_prior(*key) or _PRIORS.get(key)
    if prior is None:
        prior = _PRIORS[key] = yield from fit_latent_prior(model, families, device)
    return prior


def fit_latent_prior(
    model: KernelModel, families: Sequence[str] | None, device: torch.device
) -> Generator[Event, None, LatentPrior]:
    """Encode simulated kernels and estimate the Gaussian of their latents; takes ten seconds.

    Parameters
    ----------
    model : KernelModel
        A two-step model.
    families : sequence of str or None
        Simulated families; `ENCODED_FAMILIES` if None.
    device : torch.device
        Where the networks are.
    """
    sampler = KernelSampler(families or ENCODED_FAMILIES, shape=model.grid, seed=_SEED)
    latents = []
    for first in range(0, _SIMULATED, _KERNELS_AT_ONCE):
        yield Event("Encoding simulated kernels", first, _SIMULATED)
        numbers = range(first, first + _KERNELS_AT_ONCE)
        kernels = np.stack([sampler.kernel(number).values for number in numbers])
        encoded = encode(model, torch.from_numpy(kernels).to(device))
        latents.append(encoded.flatten(1).cpu().double())
    return LatentPrior.of(torch.cat(latents))


if __name__ == "__main__":
    bundled = load_model()
    prior = finish(fit_latent_prior(bundled, None, torch.device("cpu")))
    print(prior.save(BUNDLED_LATENTS, bundled.digest, list(ENCODED_FAMILIES)))
