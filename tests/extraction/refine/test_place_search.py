"""A click that is off by more than half a wave does not end on a wrong crest."""

from __future__ import annotations

import numpy as np
import pytest

from qpi_kernels import Defects, extract
from qpi_kernels.extraction.refine.position_fit import PointPrior, PositionFit
from qpi_kernels.extraction.refine.residual import ResidualMap
from qpi_kernels.progress import finish
from shared.planted import friedel_rings, on_window, planted_map, with_noise

RINGS = friedel_rings(wave=1.9, decay=3.0)
WINDOW = (21, 21)


@pytest.mark.parametrize("off", [(2.4, -2.2), (-1.9, -2.6)])
def test_one_defect_is_fitted_to_its_best_place_not_to_the_nearest(
    off: tuple[float, float],
) -> None:
    true = np.array([[20.3, 24.6]])
    kernel = on_window(RINGS, WINDOW)
    marks = Defects(true + np.array(off))
    image = planted_map(RINGS, true, (44, 48)) - planted_map(RINGS, marks.positions, (44, 48))
    residual = ResidualMap(
        image[None], np.ones(image.shape, bool), np.array([100.0]), {"defect": kernel[None]}
    )
    prior = PointPrior(1.5, 0.0, 4.0)
    near, best = (
        finish(PositionFit.solve(marks, marks, residual, prior, search=search))
        for search in (False, True)
    )
    assert np.hypot(*(near.defects.positions - true)[0]) > 1.0
    assert np.hypot(*(best.defects.positions - true)[0]) < 0.05
    assert not near.jumped.any()
    assert best.jumped.all()


def test_a_bad_click_among_good_ones_is_found_and_the_kernel_is_as_sharp() -> None:
    random = np.random.default_rng(2)
    true = random.uniform(0, 63, (12, 2))
    image = with_noise(planted_map(RINGS, true, (64, 64)), 30.0, 0)
    clicks = true + 0.3 * random.standard_normal(true.shape)
    clicks[4] = true[4] + (2.4, -2.2)
    found = extract(image, clicks, kernel_shape=WINDOW, method="least_squares", refine="positions")
    assert np.abs(found.defects.positions - true).max() < 0.15
    exact = extract(image, true, kernel_shape=WINDOW, method="least_squares")
    kernel = on_window(RINGS, WINDOW)
    errors = [np.square(one.kernel.values - kernel).mean() for one in (found, exact)]
    assert errors[0] < 1.3 * errors[1]
