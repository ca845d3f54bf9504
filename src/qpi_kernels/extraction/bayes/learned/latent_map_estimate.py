"""`LatentMapEstimate`: the most likely latents of the kernels in a plane."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from qpi_kernels.extraction.bayes.learned.decoder import KernelDecoder
from qpi_kernels.extraction.bayes.learned.quadratic_misfit import FittedShapes, QuadraticMisfit

__all__ = ["LatentMapEstimate"]

# An item is a few decodings.
_ITERATIONS, _DECODINGS = 2, 6
_FIRST, _MOST = 5, 30
# Gain per item, as log-posterior, at which the descent stops.
_SETTLED = 0.5


class LatentMapEstimate:
    r"""Minimises the negative log-posterior of latents by L-BFGS.

    .. math:: n \log S(u) + |u|^2, \quad S(u) = \min_a |R(y - \sum_t a_t H_t D(u_t))|^2

    with a shape D(u) and an amount a of either sign for each kind t. Amounts and the noise level
    are those of the best fit (variable projection; Golub and Pereyra 1973).

    Parameters
    ----------
    family : KernelDecoder
        D, prepared.
    misfit : QuadraticMisfit
        S, expanded about the start.
    samples : int
        n: counted pixels less the background's parameters.
    """

    def __init__(self, family: KernelDecoder, misfit: QuadraticMisfit, samples: int) -> None:
        self._family = family
        self._misfit = misfit
        self._samples = samples

    def solve(self, starts: list[torch.Tensor]) -> Iterator[int]:
        """Descend from each start (kind, size), then on from the better; a few steps per item."""
        runs = [self._descent(start) for start in starts]
        for run in runs:
            for _ in range(_FIRST):
                run.step()
                yield 1
        best = min(runs, key=lambda run: run.cost)
        yield from self._settle(best)
        if not self._misfit.exact:
            self._misfit.expand(self._kernels(best.numbers))
            best = self._descent(best.numbers)
            yield from self._settle(best)
        self.numbers = best.numbers
        self.shapes = self._family.shapes(self.numbers).detach()
        self.amounts = self._misfit.fit(self.shapes).amounts

    def _descent(self, start: torch.Tensor) -> _Descent:
        return _Descent(self._family, self._misfit, self._samples, start)

    def _kernels(self, numbers: torch.Tensor) -> torch.Tensor:
        shapes = self._family.shapes(numbers).detach()
        return self._misfit.fit(shapes).amounts[:, None, None] * shapes

    def _settle(self, run: _Descent) -> Iterator[int]:
        for _ in range(_MOST):
            before = run.cost
            run.step()
            yield 1
            if before - run.cost < 2 * _SETTLED:
                break


class _Descent:
    """L-BFGS from one start."""

    def __init__(
        self, family: KernelDecoder, misfit: QuadraticMisfit, samples: int, start: torch.Tensor
    ) -> None:
        self._family, self._misfit, self._samples = family, misfit, samples
        self._numbers = start.clone().requires_grad_()
        self._solver = torch.optim.LBFGS(
            [self._numbers],
            max_iter=_ITERATIONS,
            max_eval=_DECODINGS,
            history_size=30,
            line_search_fn="strong_wolfe",
        )
        self.cost = math.inf

    @property
    def numbers(self) -> torch.Tensor:
        """Where it stands, (kind, size)."""
        return self._numbers.detach()

    def step(self) -> None:
        """Some iterations; ``cost`` is that before them."""
        with torch.enable_grad():
            self.cost = float(self._solver.step(self._evaluate))  # type: ignore[no-untyped-call]

    def _evaluate(self) -> torch.Tensor:
        shapes = self._family.shapes(self._numbers)
        found: FittedShapes = self._misfit.fit(shapes.detach())
        self._numbers.grad = None
        shapes.backward(found.gradient * (self._samples / found.misfit))  # type: ignore[no-untyped-call]
        assert self._numbers.grad is not None
        self._numbers.grad += 2 * self.numbers
        size = float(self.numbers.square().sum())
        return torch.tensor(
            self._samples * math.log(found.misfit) + size, dtype=self._numbers.dtype
        )
