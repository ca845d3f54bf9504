"""`Posterior`: the kernels of a plane under one Gaussian prior, and kernels drawn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

__all__ = ["Posterior", "PosteriorSample", "kind_sizes", "smoothed"]

# In the prior, the kernel of one kind is not weaker than another by more than this.
_MIN_RELATIVE_SIZE = 0.03


@dataclass(frozen=True, eq=False)
class Posterior:
    """The kernels of a plane under a prior, with the evidence for the prior.

    Parameters
    ----------
    kernels : tensor, (kind, h, w)
        Posterior mean, in the plane's scaled units.
    cost : float
        ``-2 log`` of the evidence, up to a constant that is the same for all priors.
    volume : float
        ``log det(1 + G/ridge)``, which the freedom of the prior costs: hardly any other prior has a
        cost that is smaller by more than this.
    ridge, noise_variance : float
        Noise variance over the prior's, and the noise variance, both of the largest evidence.
    determined : float
        Effective number of kernel numbers that the data fix.
    free : int
        Number of free kernel numbers.
    condition : float
        Condition number of the regularised problem.
    iterations : int
        Solver iterations.
    converged : bool
        Whether the solver reached its tolerance.
    numbers : tensor, (n,), optional
        The prior's unit numbers that the kernels are made of.
    """

    kernels: torch.Tensor
    cost: float
    volume: float
    ridge: float
    noise_variance: float
    determined: float
    free: int
    condition: float
    iterations: int
    converged: bool
    numbers: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class PosteriorSample:
    """Kernels drawn from a posterior, less its mean.

    Parameters
    ----------
    deviations : tensor, (draw, kind, h, w)
        In the plane's scaled units.
    variance : tensor, (kind, h, w), optional
        Of the kernels; that of the draws, averaged over neighbouring pixels, when left out.
    numbers : tensor, (draw, n), optional
        The deviations' unit numbers.
    prior : tensor, (draw, n), optional
        Those of the draws of the prior that they were made from.
    """

    deviations: torch.Tensor
    variance: torch.Tensor | None = None
    numbers: torch.Tensor | None = None
    prior: torch.Tensor | None = None

    @cached_property
    def std(self) -> torch.Tensor:
        """Standard deviation of the kernels, (kind, h, w)."""
        if self.variance is None:
            return smoothed(self.deviations.square().mean(dim=0)).sqrt()
        return self.variance.sqrt()


def kind_sizes(posteriors: Sequence[Posterior]) -> torch.Tensor | None:
    """Estimate the relative sizes of the kernels of each kind, (kind,), from least squares.

    None where all are alike: there is one kind, or no signal.
    """
    squares = torch.stack([one.kernels.square().sum(dim=(-2, -1)) for one in posteriors])
    size = squares.mean(dim=0).sqrt()
    largest = size.max()
    if len(size) == 1 or not largest > 0:
        return None
    return (size / largest).clamp(min=_MIN_RELATIVE_SIZE)


def smoothed(variances: torch.Tensor) -> torch.Tensor:
    """Average variances (kind, h, w) from few draws over neighbouring pixels."""
    width = 5
    padded = torch.nn.functional.pad(variances[:, None], (width // 2,) * 4, mode="replicate")
    return torch.nn.functional.avg_pool2d(padded, width, stride=1)[:, 0]
