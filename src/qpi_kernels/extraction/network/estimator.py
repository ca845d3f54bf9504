"""Kernels from trained networks: the published two-step method and its one-step baseline."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np
import torch

from qpi_kernels.extraction.network.parameters import NetworkParameters
from qpi_kernels.extraction.network.quality_report import NetworkAssessor
from qpi_kernels.extraction.parameters import ExtractionError
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.result_builder import ResultBuilder
from qpi_kernels.progress import Event, GeneratorStepper, in_thread, portion
from qpi_kernels.result import KernelResult

if TYPE_CHECKING:
    from qpi_kernels.extraction.network.model_grid import ModelGrid
    from qpi_kernels.models import KernelModel

__all__ = ["NetworkExtraction"]

_PLANES_AT_ONCE = 4
_MIN_INDEPENDENCE = 0.05
_MIN_SHARE = 1e-3
_SHARE_OF_LOADING = 0.2


class NetworkExtraction(GeneratorStepper[KernelResult]):
    """Decode the kernel from a network's latent mean, as a stepper: a sample per step.

    The network gives the shape. Scale, and for the ``min_max`` representation offset, come from a
    least-squares fit to the observation with the background fitted along. ``std`` is the spread of
    kernels decoded from samples of the latent's distribution, each fitted likewise, times the ratio
    of error to spread that the model had on held-out kernels.

    Source: arXiv 2506.05325, which samples where this takes the mean.

    Parameters
    ----------
    problem : Problem
        The checked input.

    Raises
    ------
    ExtractionError
        If there are several kinds of defect or, while it runs, the model can not be used.
    """

    def __init__(self, problem: Problem[NetworkParameters]) -> None:
        parameters = problem.parameters
        if len(problem.defects.kinds) > 1:
            raise ExtractionError(
                f"{parameters.method} knows one kind of defect, here are "
                f"{', '.join(problem.defects.kinds)}: mask all but one, or use least_squares"
            )
        self._problem = problem

    @torch.no_grad()
    def _run(self) -> Generator[Event, None, KernelResult]:
        """Load the model, then extract the kernels of a few planes at a time."""
        problem, count = self._problem, self._problem.plane_count
        loading = in_thread(lambda: _load(problem), "Loading the model")
        model, grid = yield from portion(loading, 0.0, _SHARE_OF_LOADING)
        fit = _ScaleFit(problem, model, grid)
        provenance = {
            "source": problem.parameters.model,
            "sha256": model.digest,
            "representation": model.representation.model_dump(mode="json"),
            "grid": list(model.grid),
            "scale_px": grid.scale,
        }
        builder = ResultBuilder(problem, provenance={"model": provenance})
        any_negative = False
        freedom = 1.0 if model.representation.kind == "asinh" else 2.0
        at_once = max(1, int(_PLANES_AT_ONCE * problem.memory_share))
        for start in range(0, count, at_once):
            stop = min(start + at_once, count)
            planes = problem.planes(start, stop)
            images = problem.background.remove(planes.values)
            shares = (
                _SHARE_OF_LOADING + (1.0 - _SHARE_OF_LOADING) * done / count
                for done in (start, stop)
            )
            decoding = self._decode(model, grid, fit, images)
            kernels, std, negative = yield from portion(decoding, *shares)
            any_negative |= negative
            builder.add(
                start,
                planes,
                kernels[:, None],
                std=std[:, None],
                ridge=np.zeros(len(kernels)),
                freedom=np.full(len(kernels), freedom),
                solution_size=kernels[0].numel(),
            )
        return builder.result(NetworkAssessor(grid.reason(), any_negative))

    def _decode(
        self, model: KernelModel, grid: ModelGrid, fit: _ScaleFit, images: torch.Tensor
    ) -> Generator[Event, None, tuple[torch.Tensor, torch.Tensor, bool]]:
        """Decode kernels of images without background.

        Returns
        -------
        generator
            Yields an event for each sample and returns kernels and std, (plane, h, w), and whether
            any kernel or sample fits an image best upside down.
        """
        message, samples = "Decoding the kernel", self._problem.parameters.samples
        blanked = torch.where(self._problem.mask_tensor, images, torch.nan).float()
        channels = grid.channels(blanked)
        yield Event(message, 1, samples + 3)
        latent = model.latent(channels)
        yield Event(message, 2, samples + 3)
        kernels, negative = fit.kernels(model.kernel(latent.mean)[:, 0], images)
        yield Event(message, 3, samples + 3)
        decoded = []
        for number, noise in enumerate(self._noise(latent.mean.shape[1:]), 4):
            shapes = model.kernel(latent.mean + latent.std * noise)[:, 0]
            sample, sample_negative = fit.kernels(shapes, images)
            decoded.append(sample)
            negative |= sample_negative
            yield Event(message, number, samples + 3)
        deviation = (torch.stack(decoded) - kernels).square().mean(dim=0).sqrt()
        return kernels, deviation * model.std_factor, negative

    def _noise(self, shape: torch.Size) -> torch.Tensor:
        """Draw latent noise; the same for all biases, so that their number does not matter."""
        generator = torch.Generator().manual_seed(self._problem.parameters.seed)
        noise = torch.randn(self._problem.parameters.samples, *shape, generator=generator)
        return noise.to(self._problem.device)


def _load(problem: Problem[NetworkParameters]) -> tuple[KernelModel, ModelGrid]:
    """Load the model, with the libraries that it needs, and place the problem on its grid."""
    from qpi_kernels.extraction.network.model_grid import model_grid
    from qpi_kernels.models import ModelFormatError, load_model

    parameters = problem.parameters
    try:
        model = load_model(parameters.model, method=parameters.method, device=problem.device)
    except ModelFormatError as error:
        raise ExtractionError(str(error)) from error
    return model, model_grid(problem, model)


class _ScaleFit:
    """Least-squares fit of the scale of a network's kernels, which are known up to that.

    Parameters
    ----------
    problem : Problem
        The checked input.
    model : KernelModel
        Its representation tells whether an offset is unknown, too.
    grid : ModelGrid
        Brings its kernels onto the problem's window.
    """

    def __init__(self, problem: Problem, model: KernelModel, grid: ModelGrid) -> None:
        self._problem = problem
        self._grid = grid
        self._fits_offset = model.representation.kind == "min_max"

    def kernels(self, shapes: torch.Tensor, images: torch.Tensor) -> tuple[torch.Tensor, bool]:
        """Scale shapes (plane, 64, 64) to kernels (plane, h, w) that fit images best.

        Returns
        -------
        tensor, (plane, h, w)
            The kernels.
        bool
            True if any of the scales is negative.
        """
        kernels = self._grid.kernels(shapes.to(images))
        kernels = self._problem.symmetrisation.symmetrise(kernels)
        parts = [kernels]
        if self._fits_offset:
            # Its large constant would make shape and offset nearly parallel.
            kernels = kernels - kernels.flatten(1).median(dim=1).values[:, None, None]
            parts = [kernels, torch.ones_like(kernels)]
        amounts = self._amounts(parts, images)
        scaled = torch.einsum("pyxk,pk->pyx", torch.stack(parts, dim=-1), amounts)
        return scaled, bool((amounts[:, 0] < 0).any())

    def _amounts(self, parts: list[torch.Tensor], images: torch.Tensor) -> torch.Tensor:
        """Fit the amount of each part in each plane by least squares, (plane, part)."""
        plain = torch.stack([self._problem.model.apply(part[:, None]) for part in parts], dim=1)
        columns = self._problem.background.remove(plain).flatten(2)
        norms = columns.norm(dim=-1)
        # A column that the background explains is rounding noise, and has no amount.
        kept = norms > _MIN_SHARE * plain.flatten(2).norm(dim=-1)
        norms = torch.where(kept, norms, torch.inf)
        columns = columns / norms[..., None]
        gram = (columns @ columns.mT).cpu().double()
        inverse = torch.linalg.pinv(gram, rtol=_MIN_INDEPENDENCE**2, hermitian=True)
        correlation = (columns @ images.flatten(1)[..., None]).cpu().double()
        amounts: torch.Tensor = (inverse @ correlation)[..., 0].to(images) / norms
        return amounts
