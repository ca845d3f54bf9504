"""The kernels that a trained decoder can make, on the window of a problem."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from qpi_kernels.extraction.network.model_grid import ModelGrid, model_grid
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.models.folder import KernelModel
from qpi_kernels.models.latent_prior import LatentPrior
from qpi_kernels.simulate.kernel_sampler import KernelSampler

__all__ = ["KernelDecoder"]

# More would make a step longer than the wait for a cancel should be.
_KERNELS_AT_ONCE, _TANGENTS_AT_ONCE = 8, 8
_SIMULATED = 512
_SEED = 905
# Encoders may put a noisy kernel far outside of all others.
_FARTHEST = 4.0


class KernelDecoder:
    """Shapes of unit numbers u: decoded and brought onto the window.

    Parameters
    ----------
    problem : Problem
        The checked input.
    model : KernelModel
        A two-step model of the ``asinh`` representation; its networks stay as they are.
    families : sequence of str, optional
        Simulated families whose latents make the prior; all when left out.
    """

    _known: ClassVar[dict[tuple[str, tuple[str, ...]], LatentPrior]] = {}

    def __init__(
        self, problem: Problem, model: KernelModel, families: Sequence[str] | None = None
    ) -> None:
        self._problem = problem
        self._model = model
        self._library = KernelSampler(families, shape=model.grid, seed=_SEED)
        self.grid: ModelGrid = model_grid(problem, model)

    @property
    def size(self) -> int:
        """How many unit numbers a kernel has."""
        return self._prior.size

    @torch.no_grad()
    def prepare(self) -> Iterator[int]:
        """Learn where simulated kernels lie in the latent space, once for each model."""
        _load_forward_derivatives()
        key = (self._model.digest, self._library.families)
        if key not in self._known:
            latents = []
            for first in range(0, _SIMULATED, _KERNELS_AT_ONCE):
                numbers = range(first, first + _KERNELS_AT_ONCE)
                kernels = np.stack([self._library.kernel(number).values for number in numbers])
                found = self._encoded(torch.from_numpy(kernels))
                latents.append(found.flatten(1).cpu().double())
                yield len(latents)
            self._known[key] = LatentPrior.of(torch.cat(latents))
        known, like = self._known[key], self._problem.coverage
        self._prior = LatentPrior(known.mean.to(like), known.root.to(like))
        self._latent_shape = self._encoded(torch.zeros(1, *self._model.grid)).shape[1:]

    def shapes(self, numbers: torch.Tensor) -> torch.Tensor:
        """Shapes (v, h, w) of unit numbers (v, size)."""
        latents = self._prior.latents(numbers).float().view(-1, *self._latent_shape)
        return self.grid.kernels(self._model.kernel(latents)[:, 0].to(numbers))

    def tangents(self, numbers: torch.Tensor) -> Iterator[torch.Tensor]:
        """Derivatives (some, h, w) of one shape by its unit numbers (size,), a few per item."""

        def along(direction: torch.Tensor) -> torch.Tensor:
            tangent: torch.Tensor = torch.func.jvp(
                self.shapes, (numbers[None],), (direction[None],)
            )[1]
            return tangent[0]

        for some in torch.split(torch.eye(self.size).to(numbers), _TANGENTS_AT_ONCE):
            # The fused kernels of attention have no forward derivative.
            with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
                made: torch.Tensor = torch.func.vmap(along)(some)
            yield made

    @torch.no_grad()
    def numbers_of_kernels(self, kernels: torch.Tensor) -> torch.Tensor:
        """Unit numbers (v, size) that the VAE's encoder gives kernels (v, h, w)."""
        return self._numbers(self._encoded(self.grid.on_grid(kernels)))

    @torch.no_grad()
    def numbers_of_plane(self, left: torch.Tensor) -> torch.Tensor:
        """Unit numbers (1, size) that the observation's encoder gives a plane (rows, columns)."""
        blanked = torch.where(self._problem.mask_tensor, left, torch.nan).float()
        return self._numbers(self._model.latent(self.grid.seen(blanked[None])).mean)

    def _encoded(self, kernels: torch.Tensor) -> torch.Tensor:
        shown = self._model.representation.encode(kernels.to(self._problem.device).float())
        vae = self._model.networks["kernel_vae"]
        latents: torch.Tensor = vae.encode(shown[:, None]).latent_dist.mean
        return latents

    def _numbers(self, latents: torch.Tensor) -> torch.Tensor:
        found = self._prior.numbers(latents.flatten(1).to(self._prior.mean))
        return found.clamp(-_FARTHEST, _FARTHEST)


def _load_forward_derivatives() -> None:
    """Let torch compile what its first forward derivative needs, which it warns of."""
    one = torch.ones(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.func.jvp(torch.sin, (one,), (one,))
