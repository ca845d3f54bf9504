"""`CrossValidation`: scores of alternatives, their differences, and which of these are real."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.extraction.cross_validation.block_sums import BlockSums
from qpi_kernels.extraction.cross_validation.partition import Partition
from qpi_kernels.extraction.parameters import ExtractionError
from qpi_kernels.predictive_score import PredictiveScore

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CrossValidation", "ScoreDifference"]

_REAL = 2.0
"""Standard errors beyond which a difference is called real."""


class ScoreDifference(NamedTuple):
    """The difference of two scores with its standard error, paired over the blocks.

    Parameters
    ----------
    r_squared, r_squared_error : float
        R squared of the first less that of the second.
    log_likelihood, log_likelihood_error : float
        The same of the log-likelihood per pixel.
    """

    r_squared: float
    r_squared_error: float
    log_likelihood: float
    log_likelihood_error: float

    @property
    def real(self) -> bool:
        """True if R squared differs by more than two standard errors."""
        return abs(self.r_squared) > _REAL * self.r_squared_error


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Predictions of left-out pixels by several alternatives, the same pixels for all.

    Parameters
    ----------
    sums : mapping of str to BlockSums
        What each alternative predicted, in the order they were given.
    partition : Partition
        The blocks.
    failures : mapping of str to str
        Why the alternatives without a score failed.
    """

    sums: Mapping[str, BlockSums]
    partition: Partition
    failures: Mapping[str, str] = field(default_factory=dict)

    @property
    def scores(self) -> dict[str, PredictiveScore]:
        """The score of each alternative, in the order they were given."""
        return {name: self._score(one) for name, one in self.sums.items()}

    def _score(self, sums: BlockSums) -> PredictiveScore:
        """Score an alternative."""
        explained, explained_error = _ratio(sums.variance - sums.misfit, sums.variance)
        likelihood, likelihood_error = _ratio(sums.log_likelihood, sums.pixels)
        within = sums.within.sum(axis=1) / sums.pixels.sum()
        return PredictiveScore(
            r_squared=explained,
            r_squared_error=explained_error,
            log_likelihood=likelihood,
            log_likelihood_error=likelihood_error,
            within_1_sigma=float(within[0]),
            within_2_sigma=float(within[1]),
            left_out=self.partition.left_out,
            blocks=len(self.partition.folds),
            block_px=self.partition.side_px,
            folds=self.partition.count,
            pixels=int((self.partition.labels >= 0).sum()),
        )

    def difference(self, first: str, second: str) -> ScoreDifference:
        """Compare two alternatives block by block.

        What makes a block hard to predict, such as its noise, is the same for both and cancels.

        Parameters
        ----------
        first, second : str
            Names of alternatives with a score.
        """
        one, other = self.sums[first], self.sums[second]
        return ScoreDifference(
            *_ratio(other.misfit - one.misfit, one.variance),
            *_ratio(one.log_likelihood - other.log_likelihood, one.pixels),
        )

    @property
    def ranking(self) -> list[str]:
        """Names of the alternatives, that of the largest R squared first.

        Raises
        ------
        ExtractionError
            If all of them failed.
        """
        if not self.sums:
            reasons = "; ".join(f"{_words(name)}: {why}" for name, why in self.failures.items())
            raise ExtractionError(f"no alternative could be scored; {reasons or 'there is none'}")
        misfit = {name: float(one.misfit.sum()) for name, one in self.sums.items()}
        return sorted(misfit, key=misfit.__getitem__)

    @property
    def simplest(self) -> str:
        """The first alternative whose R squared is within one standard error of the largest.

        The rule of one standard error (Breiman et al. 1984, Classification and Regression Trees,
        section 3.4.3) for alternatives that were given in order, the simplest first; with the error
        of the paired difference.
        """
        best = self.ranking[0]
        for name in self.sums:
            behind = self.difference(best, name)
            if behind.r_squared <= behind.r_squared_error:
                return name
        return best

    def sentences(self) -> list[str]:
        """Say of each alternative how far it is behind the best, and whether that is real."""
        best, *others = self.ranking
        score = self._score(self.sums[best])
        shown = f"{_words(best)} predicts best"
        lines = [f"{shown}: R² {_with_error(score.r_squared, score.r_squared_error)}."]
        if score.r_squared <= _REAL * score.r_squared_error:
            lines = [
                "No alternative predicts left-out pixels: the largest R² is "
                f"{_with_error(score.r_squared, score.r_squared_error)}."
            ]
        for name in others:
            behind = self.difference(best, name)
            amount = _with_error(behind.r_squared, behind.r_squared_error)
            if behind.real:
                lines.append(f"{_words(name)} predicts worse: R² smaller by {amount}.")
            else:
                lines.append(f"{_words(name)} does not differ really: R² smaller by {amount}.")
        return [line[0].upper() + line[1:] for line in lines]

    def to_dict(self) -> dict[str, Any]:
        """Collect scores, differences to the best and failures, JSON-compatible."""
        best = self.ranking[0] if self.sums else ""
        return {
            "scores": {name: one.model_dump(mode="json") for name, one in self.scores.items()},
            "best": best,
            "behind_best": {
                name: {**behind._asdict(), "real": behind.real}
                for name in self.sums
                if name != best
                for behind in [self.difference(best, name)]
            },
            "sentences": self.sentences() if self.sums else [],
            "failures": dict(self.failures),
        }

    def plot(self, ax: Axes) -> Axes:
        """Draw R squared of each alternative with its standard error.

        Parameters
        ----------
        ax : matplotlib.axes.Axes
            Where to draw.

        Returns
        -------
        matplotlib.axes.Axes
        """
        scores = self.scores
        values = [one.r_squared for one in scores.values()]
        errors = [one.r_squared_error for one in scores.values()]
        places = np.arange(len(scores))
        ax.errorbar(values, places, xerr=errors, fmt="o", capsize=3)
        ax.set_yticks(places, [_words(name) for name in scores])
        ax.invert_yaxis()
        ax.axvline(0.0, color="0.7", linewidth=0.8, zorder=0)
        ax.set_xlabel("R² of left-out pixels")
        return ax


def _ratio(
    numerators: NDArray[np.float64], denominators: NDArray[np.float64]
) -> tuple[float, float]:
    """Divide the sums over blocks, with the standard error over the blocks (delta method)."""
    total = denominators.sum()
    if not total > 0:
        return float("nan"), float("nan")
    ratio = numerators.sum() / total
    count = len(numerators)
    deviations = numerators - ratio * denominators
    error = np.sqrt(np.square(deviations).sum() * count / max(count - 1, 1)) / total
    return float(ratio), float(error)


def _with_error(value: float, error: float) -> str:
    """Write a number with its standard error, to two digits of the error."""
    if not (np.isfinite(error) and error > 0):
        return f"{value:.3g}"
    digits = int(np.clip(1 - np.floor(np.log10(error)), 1, 6))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _words(name: str) -> str:
    """Write the name of a method as words."""
    return name.replace("_", " ")
