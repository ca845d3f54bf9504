"""dI/dV from I(V): exact for parabolas, whichever way and however unevenly the bias runs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from qpi_kernels.io.numeric_didv import differentiate

steps = st.lists(st.floats(0.01, 1.0), min_size=3, max_size=12)


@given(steps=steps, falling=st.booleans(), curvature=st.floats(-2, 2), slope=st.floats(-2, 2))
def test_a_parabola_is_differentiated_exactly_inside(steps, falling, curvature, slope):
    bias = np.cumsum(steps) * (-1 if falling else 1)
    current = (slope * bias + curvature * bias**2)[:, np.newaxis]
    expected = (slope + 2 * curvature * bias)[:, np.newaxis]
    assert_allclose(differentiate(current, bias)[1:-1], expected[1:-1], rtol=1e-4, atol=1e-4)


def test_a_sweep_there_and_back_is_two_stretches():
    bias = np.array([0.0, 1.0, 2.0, 2.0, 1.0, 0.0])
    current = np.array([0.0, 1.0, 2.0, 20.0, 10.0, 0.0])
    assert_allclose(differentiate(current, bias), [1, 1, 1, 10, 10, 10])


def test_a_lone_point_has_no_slope():
    assert_allclose(
        differentiate(np.array([0.0, 1.0, 5.0]), np.array([0.0, 1.0, 1.0])), [1, 1, np.nan]
    )


def test_the_axis_can_be_any():
    bias = np.array([0.3, 0.1, -0.4])
    current = np.stack([2 * bias, -3 * bias])
    assert_allclose(differentiate(current, bias, axis=1), [[2] * 3, [-3] * 3], rtol=1e-6)
