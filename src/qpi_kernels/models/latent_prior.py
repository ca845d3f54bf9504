"""`LatentPrior`: the Gaussian of a family of kernels in the latent space of a VAE, and its file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from qpi_kernels.io.atomic_write import replacing

__all__ = ["BUNDLED_LATENTS", "LatentPrior", "bundled_latent_prior"]

BUNDLED_LATENTS = Path(__file__).parent / "bundled" / "latents.safetensors"
"""File of the bundled two-step model's prior, see `bundled_latent_prior`."""

# Directions of smaller spread, relative to the largest, are left out.
_MIN_SPREAD = 3e-3


@dataclass(frozen=True, eq=False)
class LatentPrior:
    """Latents z = mean + root u with independent unit numbers u.

    A VAE is trained towards latents of mean 0 and covariance 1, but with the small weight that
    sharp kernels need it does not get there: of the bundled model, the longest axis is 9 and the
    shortest below 0.01. With the Gaussian of encoded kernels instead of the unit one the most
    likely kernel has half the error on maps of 64 pixels at signal-to-noise 1 (three maps).

    Parameters
    ----------
    mean : tensor, (n,)
        Mean latent.
    root : tensor, (n, m)
        Orthogonal columns, the longest first.
    """

    mean: torch.Tensor
    root: torch.Tensor

    @classmethod
    def of(cls, latents: torch.Tensor) -> LatentPrior:
        """Estimate mean and covariance of latents (kernel, n)."""
        mean = latents.mean(dim=0)
        away = (latents - mean) / max(len(latents), 1) ** 0.5
        _, spread, axes = torch.linalg.svd(away, full_matrices=False)
        kept = spread > _MIN_SPREAD * spread[0]
        return cls(mean, axes[kept].T * spread[kept])

    @property
    def size(self) -> int:
        """Number of unit numbers."""
        return self.root.shape[1]

    def latents(self, numbers: torch.Tensor) -> torch.Tensor:
        """Convert unit numbers (v, size) to latents (v, n)."""
        return self.mean + numbers @ self.root.T

    def numbers(self, latents: torch.Tensor) -> torch.Tensor:
        """Project latents (v, n) to unit numbers (v, size)."""
        return (latents - self.mean) @ self.root / self.root.square().sum(dim=0)

    def save(self, path: str | Path, model: str, families: Sequence[str]) -> Path:
        """Write a safetensors file, in single precision.

        Parameters
        ----------
        path : path-like
            An existing file is replaced once the new one is complete.
        model : str
            Digest of the model that encoded the kernels.
        families : sequence of str
            Their families.
        """
        tensors = {"mean": self.mean.float(), "root": self.root.float().contiguous()}
        with replacing(Path(path)) as partial:
            save_file(tensors, partial, metadata=_metadata(model, families))
        return Path(path)


def bundled_latent_prior(model: str, families: Sequence[str]) -> LatentPrior | None:
    """Load the prior that comes with the package, if it is of a model and of families.

    Encoding 512 kernels takes ten seconds; for the bundled model and all simulated families
    ``python -m qpi_kernels.extraction.bayes.learned.simulated_latents`` has done it.

    Parameters
    ----------
    model : str
        Digest of the model.
    families : sequence of str
        Simulated families, in the order of the sampler.

    Returns
    -------
    LatentPrior or None
        In double precision; None for another model or other families.
    """
    metadata, prior = _bundled()
    return prior if metadata == _metadata(model, families) else None


@cache
def _bundled() -> tuple[dict[str, str], LatentPrior]:
    """Read the bundled file: what it is of, and the prior."""
    with safe_open(BUNDLED_LATENTS, framework="pt") as file:
        mean, root = (file.get_tensor(name).double() for name in ("mean", "root"))
        return file.metadata(), LatentPrior(mean, root)


def _metadata(model: str, families: Sequence[str]) -> dict[str, str]:
    """Describe the kernels of a prior and their encoder."""
    return {"model": model, "families": json.dumps(list(families))}
