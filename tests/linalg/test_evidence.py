"""The ridge of the largest evidence: the true optimum, however rounding falls."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize

from qpi_kernels.linalg.evidence import Evidence, OperatorSpectrum, Quadrature


@pytest.mark.parametrize("seed", range(5))
def test_the_best_ridge_is_the_optimum_and_not_a_grid_point(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.logspace(2, -3, 80)
    # Numbers of variance 1 seen through the operator, with noise of variance 0.1.
    squares = (values + 0.1) * values * rng.standard_normal(80) ** 2
    rest = 0.1 * rng.standard_normal(920) ** 2
    weights = squares / squares.sum()
    data = Quadrature(values[None], weights[None], np.array([squares.sum() ** 0.5]))
    energy = np.array([(squares / values).sum() + rest.sum()])
    evidence = Evidence(energy, 1000, OperatorSpectrum(values, np.ones(80)))

    def cost(logarithm: float) -> float:
        return float(evidence.cost(np.array([[np.exp(logarithm)]]), data)[0, 0])

    best = float(evidence.best_ridge(data)[0])
    exact = scipy.optimize.minimize_scalar(
        cost, bounds=(np.log(best) - 1, np.log(best) + 1), method="bounded", options={"xatol": 1e-9}
    )
    assert np.log(best) == pytest.approx(exact.x, abs=1e-5)


def test_no_signal_has_a_ridge_at_the_end_of_the_range() -> None:
    data = Quadrature(np.ones((1, 3)), np.full((1, 3), 1 / 3), np.zeros(1))
    evidence = Evidence(np.ones(1), 100, OperatorSpectrum(np.ones(3), np.ones(3)))
    assert np.isfinite(evidence.best_ridge(data)).all()
    assert evidence.best_ridge(data)[0] > 1e3
