"""The choice of planes by a range of biases."""

from __future__ import annotations

import numpy as np
import pytest

from qpi_kernels.extraction.bias_planes import BiasRangeError, planes_in_range

BIASES = [-0.2, -0.1, 0.0, 0.1, 0.2]


@pytest.mark.parametrize(
    ("first", "last", "planes"),
    [
        (-0.1, 0.1, [1, 2, 3]),
        (0.1, -0.1, [1, 2, 3]),
        (-0.06, 0.06, [1, 2, 3]),
        (-0.04, 0.04, [2]),
        (0.149, 9.0, [3, 4]),
        (0.151, 9.0, [4]),
        (0.05, 0.15, [3]),  # half a step is not less than half
        (-np.inf, np.inf, [0, 1, 2, 3, 4]),
        (0.24, 0.3, [4]),
    ],
)
def test_planes_less_than_half_a_step_outside_count(
    first: float, last: float, planes: list[int]
) -> None:
    assert planes_in_range(BIASES, first, last).tolist() == planes
    falling = planes_in_range(BIASES[::-1], first, last)
    assert sorted(4 - falling) == planes


def test_the_smallest_step_counts_and_any_order() -> None:
    assert planes_in_range([0.3, 0.0, 0.01], 0.014, 0.296).tolist() == [0, 2]


def test_one_plane_is_found_by_its_rounded_bias() -> None:
    assert planes_in_range([0.12345], 0.1234, 0.1235).tolist() == [0]
    assert planes_in_range([0.12345], 0.12340, 0.12342).tolist() == [0]
    with pytest.raises(BiasRangeError, match=r"from 0.2 to 0.3 V.*goes from 0.12345"):
        planes_in_range([0.12345], 0.2, 0.3)


def test_no_plane_is_an_error_that_tells_the_range() -> None:
    with pytest.raises(
        BiasRangeError, match=r"no plane has a bias from 0.26 to 1 V.*-0.2 to 0.2 V"
    ):
        planes_in_range(BIASES, 0.26, 1.0)
