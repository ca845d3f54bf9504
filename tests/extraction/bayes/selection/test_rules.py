"""Priors that are fitted to a map before the best of them is taken."""

from __future__ import annotations

import torch

from qpi_kernels.extraction.bayes.posterior import Posterior
from qpi_kernels.extraction.bayes.priors.library_priors import WHITE_PRIOR
from qpi_kernels.extraction.bayes.priors.map_waves import LOCAL_WAVES, MAP_WAVES
from qpi_kernels.extraction.bayes.selection.rules import close_to_best


def costing(cost: float) -> Posterior:
    return Posterior(torch.zeros(1, 3, 3), cost, 5000.0, 1.0, 1.0, 5.0, 9, 1.0, 1, True)


def test_a_family_close_behind_waves_at_their_places_is_fitted_too() -> None:
    candidates = {WHITE_PRIOR: costing(4000.0), "a family": costing(200.0)}
    assert close_to_best(candidates) == ["a family"]
    candidates[MAP_WAVES] = costing(150.0)
    assert close_to_best(candidates) == [MAP_WAVES]
    candidates[LOCAL_WAVES] = costing(0.0)
    assert close_to_best(candidates) == [LOCAL_WAVES, "a family", MAP_WAVES]
    candidates["a family"] = costing(300.0)
    assert close_to_best(candidates) == [LOCAL_WAVES, MAP_WAVES]


def test_least_squares_is_replaced_only_for_a_gain() -> None:
    assert close_to_best({WHITE_PRIOR: costing(0.0), "a family": costing(-1.0)}) == [WHITE_PRIOR]
    assert close_to_best({WHITE_PRIOR: costing(0.0), "a family": costing(-3.0)}) == ["a family"]
