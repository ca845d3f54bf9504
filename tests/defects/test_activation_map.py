"""The activation map: where weights go, and that a kernel put there is the kernel shifted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import fftconvolve

from qpi_kernels.defects import Defects, activation_map

pixel = st.integers(0, 19)


@given(row=pixel, col=pixel, strength=st.floats(-5, 5))
def test_a_whole_pixel_is_one_pixel(row, col, strength):
    result = activation_map([[row, col]], [strength], (20, 20))
    expected = np.zeros((20, 20))
    expected[row, col] = strength
    np.testing.assert_allclose(result, expected, atol=1e-14)


@given(row=st.floats(40, 50), col=st.floats(40, 50), strength=st.floats(0.1, 5))
def test_the_total_weight_is_the_strength(row, col, strength):
    assert activation_map([[row, col]], [strength], (91, 91)).sum() == pytest.approx(strength)


@given(row=st.floats(-30, 50), col=st.floats(-30, 50))
def test_the_origin_only_moves_the_frame(row, col):
    wide = activation_map([[row, col]], [1.0], (60, 60), origin=(-20, -20))
    narrow = activation_map([[row, col]], [1.0], (20, 20))
    np.testing.assert_allclose(wide[20:40, 20:40], narrow, atol=1e-14)


def test_far_outside_is_nothing_and_just_outside_reaches_in():
    assert not activation_map([[-40.5, 3.0], [3.0, 900.5]], [1.0, 1.0], (20, 20)).any()
    assert activation_map([[-0.5, 3.0]], [1.0], (20, 20)).any()


@given(
    row=st.floats(20, 44),
    col=st.floats(20, 44),
    angle=st.floats(0, np.pi),
    frequency=st.floats(0.02, 0.3),
)
def test_a_band_limited_kernel_arrives_shifted(row, col, angle, frequency):
    size = 65
    steps = np.arange(size) - size // 2

    def wave(rows, cols):
        envelope = np.exp(-(rows**2 + cols**2) / (2 * 4.0**2))
        return envelope * np.cos(
            2 * np.pi * frequency * (rows * np.cos(angle) + cols * np.sin(angle)) + 0.4
        )

    kernel = wave(steps[:, None], steps[None, :])
    activation = activation_map([[row, col]], [1.0], (65, 65))
    image = fftconvolve(activation, kernel, mode="same")
    pixels = np.arange(65.0)
    expected = wave(pixels[:, None] - row, pixels[None, :] - col)
    assert np.abs(image - expected).max() < 5e-3


def test_kinds_and_strengths_go_to_their_own_maps():
    table = Defects([[2, 3], [4, 5], [2, 3]], ["a", "b", "b"], [2.0, 3.0, 5.0])
    only_b = table.activation((8, 8), kind="b")
    assert only_b[4, 5] == pytest.approx(3.0)
    assert only_b[2, 3] == pytest.approx(5.0)
    assert table.activation((8, 8))[2, 3] == pytest.approx(7.0)
