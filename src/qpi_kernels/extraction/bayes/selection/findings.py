"""Findings of a selection of priors: what planes share, and the posterior of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from qpi_kernels.extraction.bayes.noise_model import NoiseModel
from qpi_kernels.extraction.bayes.posterior import Posterior, kind_sizes, smoothed
from qpi_kernels.extraction.bayes.selection.family_selection import likely_families

__all__ = ["SelectedPosterior", "StackFindings"]


@dataclass(frozen=True, eq=False)
class StackFindings:
    """Findings that the planes of a stack share.

    Parameters
    ----------
    sizes : tensor, (kind,), optional
        Relative size of the kernels of each kind, where there are several.
    families : dict of int to str
        Family of simulated kernels of each plane, by its index; without one, all families.
    fit : dict of int to float
        How well that family fits each plane: what it gains over least squares, over what the best
        prior could gain.
    priors : frozenset of str
        Names of the priors to try; all when left out.
    """

    sizes: torch.Tensor | None
    families: dict[int, str]
    fit: dict[int, float] = field(default_factory=dict)
    priors: frozenset[str] | None = None

    @classmethod
    def of(
        cls,
        planes: Sequence[int],
        white: Sequence[Posterior],
        costs: Sequence[Mapping[str, float]],
    ) -> StackFindings:
        """Take the likely families from the costs of all, see `FamilySelection.costs`."""
        families = dict(zip(planes, likely_families(costs)[0], strict=True))
        fit = {
            index: (one.cost - cost[families[index]]) / max(one.volume, 1.0)
            for index, one, cost in zip(planes, white, costs, strict=True)
        }
        return cls(kind_sizes(white), families, fit)


@dataclass(frozen=True, eq=False)
class SelectedPosterior:
    """The posterior of a plane under the prior of the largest evidence.

    Parameters
    ----------
    prior : str
        In plain words.
    posterior : Posterior
        Its mean and numbers.
    deviations : tensor, (draw, kind, h, w)
        Kernels drawn from the posterior, less its mean.
    std : tensor, (kind, h, w)
        Their spread.
    candidates : dict of str to Posterior
        Of each prior that was tried.
    sizes : tensor, (kind,), optional
        Relative size of the kernels of each kind, where there are several.
    noise : NoiseModel, optional
        White when left out.
    """

    prior: str
    posterior: Posterior
    deviations: torch.Tensor
    std: torch.Tensor
    candidates: dict[str, Posterior]
    sizes: torch.Tensor | None = None
    noise: NoiseModel | None = None

    @property
    def log_evidence_gap(self) -> dict[str, float]:
        """Log-evidence that each prior loses to the chosen one."""
        cost = self.posterior.cost
        return {name: (one.cost - cost) / 2 for name, one in self.candidates.items()}

    @property
    def free(self) -> int:
        """Number of free kernel numbers."""
        return self.posterior.free

    def with_model_uncertainty(self, other: SelectedPosterior) -> SelectedPosterior:
        """Widen the standard deviation by the difference to the answer under another noise.

        Answers of one prior are compared: another prior may take the structure that one model
        calls noise for kernels.
        """
        same = other.candidates.get(self.prior, other.posterior)
        if not same.converged:
            # It was given up half-way, for it had no prospect.
            same = other.posterior
        difference = smoothed((self.posterior.kernels - same.kernels).square())
        variance = self.std.square()
        if same is other.posterior:
            variance = torch.maximum(variance, other.std.square())
        return replace(self, std=(variance + difference).sqrt())
