"""The standard deviation includes how far two models of the noise disagree."""

from __future__ import annotations

import torch

from qpi_kernels.extraction.bayes.posterior import Posterior
from qpi_kernels.extraction.bayes.selection.findings import SelectedPosterior


def posterior(level: float, converged: bool = True) -> Posterior:
    kernels = torch.full((1, 5, 5), level)
    return Posterior(kernels, 0.0, 1.0, 1.0, 1.0, 10.0, 25, 1.0, 20, converged)


def selected(prior: str, candidates: dict[str, Posterior], std: float) -> SelectedPosterior:
    draws = torch.zeros(8, 1, 5, 5)
    std_map = torch.full((1, 5, 5), std)
    return SelectedPosterior(prior, candidates[prior], draws, std_map, candidates)


def test_answers_of_one_prior_are_compared() -> None:
    coloured = selected("waves", {"waves": posterior(1.0)}, std=3.0)
    white = selected("white", {"white": posterior(9.0), "waves": posterior(5.0)}, std=1.0)
    widened = coloured.with_model_uncertainty(white).std
    torch.testing.assert_close(widened, torch.full((1, 5, 5), 5.0))


def test_but_not_with_one_that_was_given_up() -> None:
    coloured = selected("waves", {"waves": posterior(1.0)}, std=3.0)
    given_up = posterior(500.0, converged=False)
    white = selected("white", {"white": posterior(5.0), "waves": given_up}, std=2.0)
    widened = coloured.with_model_uncertainty(white).std
    torch.testing.assert_close(widened, torch.full((1, 5, 5), 5.0))
