"""The kernels that a trained decoder can make, on the window of a problem."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator, Sequence

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from qpi_kernels.extraction.bayes.learned.simulated_latents import encode, prepare_latent_prior
from qpi_kernels.extraction.network.model_grid import ModelGrid, model_grid
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.models.folder import KernelModel
from qpi_kernels.models.latent_prior import LatentPrior
from qpi_kernels.progress import Event

__all__ = ["KernelDecoder", "prepare_decoder"]

# More would make a step longer than the wait for a cancel should be.
_TANGENTS_AT_ONCE = 8
# Encoders may put a noisy kernel far outside of all others.
_MAX_NUMBER = 4.0


class KernelDecoder:
    """Shapes of unit numbers u: decoded and brought onto the window. Made by `prepare_decoder`.

    Parameters
    ----------
    problem : Problem
        The checked input.
    model : KernelModel
        A two-step model of the ``asinh`` representation; its networks stay as they are.
    prior : LatentPrior
        The distribution of the latents of simulated kernels.
    """

    def __init__(self, problem: Problem, model: KernelModel, prior: LatentPrior) -> None:
        self._mask = problem.mask_tensor
        self._model = model
        self._prior = LatentPrior(prior.mean.to(problem.coverage), prior.root.to(problem.coverage))
        self.grid: ModelGrid = model_grid(problem, model)
        blank = torch.zeros(1, *model.grid, device=problem.device)
        self._latent_shape = encode(model, blank).shape[1:]

    @property
    def size(self) -> int:
        """Number of unit numbers of a kernel."""
        return self._prior.size

    def shapes(self, numbers: torch.Tensor) -> torch.Tensor:
        """Decode unit numbers (v, size) to shapes (v, h, w)."""
        latents = self._prior.latents(numbers).float().view(-1, *self._latent_shape)
        return self.grid.kernels(self._model.kernel(latents)[:, 0].to(numbers))

    def tangents(self, numbers: torch.Tensor) -> Iterator[torch.Tensor]:
        """Differentiate a shape by its unit numbers (size,); yield a few derivatives (v, h, w)."""

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
        """Encode kernels (v, h, w) by the VAE to unit numbers (v, size)."""
        return self._numbers(encode(self._model, self.grid.on_grid(kernels)))

    @torch.no_grad()
    def numbers_of_plane(self, signal: torch.Tensor) -> torch.Tensor:
        """Encode a plane (rows, columns) by the observation's encoder, (1, size)."""
        blanked = torch.where(self._mask, signal, torch.nan).float()
        return self._numbers(self._model.latent(self.grid.channels(blanked[None])).mean)

    def _numbers(self, latents: torch.Tensor) -> torch.Tensor:
        """Turn latents to unit numbers, not too far from those of simulated kernels."""
        numbers = self._prior.numbers(latents.flatten(1).to(self._prior.mean))
        return numbers.clamp(-_MAX_NUMBER, _MAX_NUMBER)


def prepare_decoder(
    problem: Problem, model: KernelModel, families: Sequence[str] | None = None
) -> Generator[Event, None, KernelDecoder]:
    """Make the decoder of a model, with the latents of simulated kernels as its prior.

    Parameters
    ----------
    problem, model
        As in `KernelDecoder`.
    families : sequence of str, optional
        Simulated families whose latents make the prior; all when left out.
    """
    yield Event("Preparing the network", 0, 1)
    _load_derivatives(problem.device)
    prior = yield from prepare_latent_prior(model, families, problem.device)
    return KernelDecoder(problem, model, prior)


def _load_derivatives(device: torch.device) -> None:
    """Let torch load what its first derivatives need, which it warns of."""
    factor = torch.ones(1, device=device, requires_grad=True)
    with torch.enable_grad():
        # The thread of backward derivatives meets the device, with less than a product of matrices.
        (factor * factor).sum().backward()  # type: ignore[no-untyped-call]
    one = torch.ones(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.func.jvp(torch.sin, (one,), (one,))
