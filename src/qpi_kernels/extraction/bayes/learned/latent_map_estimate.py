"""The most likely latents of the kernels in a plane."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch

from qpi_kernels.extraction.bayes.learned.amount_fit import AmountFit
from qpi_kernels.extraction.bayes.learned.decoder import KernelDecoder
from qpi_kernels.extraction.bayes.quadratic_misfit import QuadraticMisfit
from qpi_kernels.progress import Event, open_ended, portion

__all__ = ["LatentEstimate", "maximise_posterior"]

# A step is a few decodings.
_ITERATIONS, _DECODINGS = 2, 6
_FIRST, _MAX_STEPS, _TYPICAL_STEPS = 5, 30, 15
# Gain per step, as log-posterior, at which the descent stops.
_SETTLED = 0.5


@dataclass(frozen=True, eq=False)
class LatentEstimate:
    """The most likely latents, decoded.

    Parameters
    ----------
    numbers : tensor, (kind, size)
        Unit numbers of the latents.
    shapes : tensor, (kind, h, w)
        Decoded.
    amounts : tensor, (kind,)
        Factors of the shapes, of either sign.
    """

    numbers: torch.Tensor
    shapes: torch.Tensor
    amounts: torch.Tensor

    @property
    def kernels(self) -> torch.Tensor:
        """Amounts times shapes, (kind, h, w)."""
        return self.amounts[:, None, None] * self.shapes


def maximise_posterior(
    decoder: KernelDecoder,
    fit: AmountFit,
    kernels: torch.Tensor,
    starts: Sequence[torch.Tensor],
    samples: int,
    message: str,
) -> Generator[Event, None, LatentEstimate]:
    r"""Minimise the negative log-posterior of latents by L-BFGS.

    .. math:: n \log S(u) + |u|^2, \quad S(u) = \min_a |R(y - \sum_t a_t H_t D(u_t))|^2

    with a shape D(u) and an amount a of either sign for each kind t. Amounts and the noise level
    are those of the best fit (variable projection; Golub and Pereyra 1973).

    Parameters
    ----------
    decoder : KernelDecoder
        D.
    fit : AmountFit
        S, and the amounts.
    kernels : tensor, (kind, h, w)
        Kernels that explain the plane well, about which S is expanded first.
    starts : sequence of tensor, (kind, size)
        The descent goes some way from each, then on from the best.
    samples : int
        n: independent numbers of the plane.
    message : str
        What events say.
    """

    def settle(descent: _Descent) -> Generator[Event, None, LatentEstimate]:
        """Descend until the log-posterior gains little, and decode."""
        for step in range(1, _MAX_STEPS + 1):
            before = descent.cost
            descent.step()
            yield open_ended(message, step, _TYPICAL_STEPS)
            if before - descent.cost < 2 * _SETTLED:
                break
        shapes = decoder.shapes(descent.numbers).detach()
        return LatentEstimate(descent.numbers, shapes, fit.fit(descent.misfit, shapes).amounts)

    misfit = fit.about(kernels)
    descents = [_Descent(decoder, fit, misfit, samples, start) for start in starts]
    for number, descent in enumerate(descents):
        for step in range(1, _FIRST + 1):
            descent.step()
            yield Event(message, number * _FIRST + step, 2 * _FIRST * len(descents))
    best = min(descents, key=lambda descent: descent.cost)
    estimate = yield from portion(settle(best), 0.5, 0.75)
    if not fit.is_exact:
        misfit = fit.about(estimate.kernels)
        again = _Descent(decoder, fit, misfit, samples, estimate.numbers)
        estimate = yield from portion(settle(again), 0.75, 1.0)
    return estimate


class _Descent:
    """L-BFGS from one start, with one expansion of the misfit."""

    def __init__(
        self,
        decoder: KernelDecoder,
        fit: AmountFit,
        misfit: QuadraticMisfit,
        samples: int,
        start: torch.Tensor,
    ) -> None:
        self._decoder, self._fit, self._samples = decoder, fit, samples
        self.misfit = misfit
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
        """Unit numbers reached, (kind, size)."""
        return self._numbers.detach()

    def step(self) -> None:
        """Do some iterations; ``cost`` is that before them."""
        with torch.enable_grad():
            self.cost = float(self._solver.step(self._evaluate))  # type: ignore[no-untyped-call]

    def _evaluate(self) -> torch.Tensor:
        """Evaluate the negative log-posterior and its gradient."""
        shapes = self._decoder.shapes(self._numbers)
        fitted = self._fit.fit(self.misfit, shapes.detach())
        self._numbers.grad = None
        shapes.backward(fitted.gradient * (self._samples / fitted.misfit))  # type: ignore[no-untyped-call]
        assert self._numbers.grad is not None
        self._numbers.grad += 2 * self.numbers
        size = float(self.numbers.square().sum())
        return torch.tensor(
            self._samples * math.log(fitted.misfit) + size, dtype=self._numbers.dtype
        )
