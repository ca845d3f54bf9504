"""Kernels from trained networks: the published two-step method and its one-step baseline."""

from __future__ import annotations

import numpy as np
import torch

from qpi_kernels.extraction.network.model_grid import model_grid
from qpi_kernels.extraction.network.parameters import NetworkParameters
from qpi_kernels.extraction.network.quality_report import NetworkAssessor
from qpi_kernels.extraction.parameters import ExtractionError
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.result_builder import ResultBuilder
from qpi_kernels.models import ModelFormatError, load_model
from qpi_kernels.progress import Event
from qpi_kernels.result import KernelResult

__all__ = ["NetworkExtraction"]

_PLANES_AT_ONCE = 4
_MIN_INDEPENDENCE = 0.05
_MIN_LEFT = 1e-3


class NetworkExtraction:
    """Kernel from a network's latent mean, as a stepper: a few biases per step.

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
        If there are several kinds of defect, or the model can not be used.
    """

    def __init__(self, problem: Problem[NetworkParameters]) -> None:
        parameters = problem.parameters
        if len(problem.defects.kinds) > 1:
            raise ExtractionError(
                f"{parameters.method} knows one kind of defect, here are "
                f"{', '.join(problem.defects.kinds)}: mask all but one, or use least_squares"
            )
        self._problem = problem
        try:
            self._model = load_model(
                parameters.model,
                method=parameters.method,
                device=problem.device,
            )
        except ModelFormatError as error:
            raise ExtractionError(str(error)) from error
        self._grid = model_grid(problem, self._model)
        used = {
            "source": parameters.model,
            "sha256": self._model.digest,
            "representation": self._model.representation.model_dump(mode="json"),
            "grid": list(self._model.grid),
            "scale_px": self._grid.scale,
        }
        self._negative = False
        self._builder = ResultBuilder(problem, provenance={"model": used})
        self._start = 0
        self._result: KernelResult | None = None

    @property
    def done(self) -> bool:
        """Whether `result` is ready."""
        return self._result is not None

    @property
    def result(self) -> KernelResult:
        """The finished result."""
        if self._result is None:
            raise RuntimeError("the extraction is not finished; call step() until done")
        return self._result

    @torch.no_grad()
    def step(self) -> Event:
        """Extract the kernels of some planes."""
        problem, count = self._problem, self._problem.plane_count
        stop = min(self._start + _PLANES_AT_ONCE, count)
        planes = problem.planes(self._start, stop)
        left = problem.background.remove(planes.values)
        blanked = torch.where(problem.mask_tensor, left, torch.nan).float()
        latent = self._model.latent(self._grid.seen(blanked))
        kernels = self._fitted(self._model.kernel(latent.mean)[:, 0], left)
        drawn = [
            self._fitted(self._model.kernel(latent.mean + latent.std * noise)[:, 0], left)
            for noise in self._noise(latent.mean.shape[1:])
        ]
        std = (torch.stack(drawn) - kernels).square().mean(dim=0).sqrt() * self._model.std_factor
        freedom = 1.0 if self._model.representation.kind == "asinh" else 2.0
        self._builder.add(
            self._start,
            planes,
            kernels[:, None],
            std=std[:, None],
            ridge=np.zeros(len(kernels)),
            freedom=np.full(len(kernels), freedom),
            solution_size=kernels[0].numel(),
        )
        self._start = stop
        if stop == count:
            assess = NetworkAssessor(self._grid.reason(), self._negative)
            self._result = self._builder.result(assess)
        return Event("Asking the network for the kernel", stop, count)

    def _noise(self, shape: torch.Size) -> torch.Tensor:
        """Latent noise; the same for all biases, so that their number does not matter."""
        generator = torch.Generator().manual_seed(self._problem.parameters.seed)
        noise = torch.randn(self._problem.parameters.samples, *shape, generator=generator)
        return noise.to(self._problem.device)

    def _fitted(self, shapes: torch.Tensor, left: torch.Tensor) -> torch.Tensor:
        """Kernels (plane, h, w) on the window, scaled to fit what the background leaves."""
        kernels = self._grid.kernels(shapes.to(left))
        kernels = self._problem.symmetrisation.symmetrise(kernels)
        parts = [kernels]
        if self._model.representation.kind == "min_max":
            # Its large constant would make shape and offset nearly parallel.
            kernels = kernels - kernels.flatten(1).median(dim=1).values[:, None, None]
            parts = [kernels, torch.ones_like(kernels)]
        amounts = self._amounts(parts, left)
        self._negative |= bool((amounts[:, 0] < 0).any())
        return torch.einsum("pyxk,pk->pyx", torch.stack(parts, dim=-1), amounts)

    def _amounts(self, parts: list[torch.Tensor], left: torch.Tensor) -> torch.Tensor:
        """Least-squares amount of each part in each plane, (plane, part)."""
        plain = torch.stack([self._problem.model.apply(part[:, None]) for part in parts], dim=1)
        shown = self._problem.background.remove(plain).flatten(2)
        size = shown.norm(dim=-1)
        # What the background takes is rounding noise when it is gone, and has no amount.
        size = torch.where(size > _MIN_LEFT * plain.flatten(2).norm(dim=-1), size, torch.inf)
        shown = shown / size[..., None]
        gram = (shown @ shown.mT).cpu().double()
        inverse = torch.linalg.pinv(gram, rtol=_MIN_INDEPENDENCE**2, hermitian=True)
        wanted = (shown @ left.flatten(1)[..., None]).cpu().double()
        amounts: torch.Tensor = (inverse @ wanted)[..., 0].to(left) / size
        return amounts
