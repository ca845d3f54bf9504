"""The defect-centred average."""

import numpy as np
import pytest

from qpi_kernels import Defects, extract
from shared.friedel_maps import observe


def bump(shape):
    rows, cols = (np.indices(shape).T - np.array(shape) // 2).T
    return np.exp(-(rows**2 + 0.5 * cols**2) / 6) * np.cos(0.9 * cols)


def cut_out(image, positions, shape):
    height, width = shape
    return np.array(
        [
            image[
                r - height // 2 : r - height // 2 + height, c - width // 2 : c - width // 2 + width
            ]
            for r, c in positions
        ]
    )


def test_whole_pixels_give_the_mean_and_its_standard_error():
    rng = np.random.default_rng(0)
    image = rng.standard_normal((50, 60))
    positions = np.array([[20, 20], [25, 41], [30, 12], [11, 30]])
    result = extract(image, positions, kernel_shape=(9, 8), method="average", background="none")
    patches = cut_out(image, positions, (9, 8))
    np.testing.assert_allclose(result.kernel, patches.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(result.std, patches.std(axis=0, ddof=1) / 2, atol=1e-9)


def test_isolated_defects_give_the_kernel_at_sub_pixel_positions():
    kernel = bump((15, 15))
    defects = Defects(
        [(20.3, 20.7), (60.5, 25.1), (30.9, 70.2), (75.0, 74.6)], strength=[1, 2, 0.5, -1]
    )
    image = observe(kernel, defects, (100, 100))
    result = extract(image, defects, kernel_shape=(15, 15), method="average", background="none")
    assert np.abs(result.kernel.values - kernel).max() < 1e-2


def test_a_defect_at_the_edge_counts_only_where_it_is_seen():
    kernel = bump((11, 11))
    defects = Defects([(0, 30), (30, 30)])
    image = observe(kernel, defects, (60, 60))
    result = extract(image, defects, kernel_shape=(11, 11), method="average", background="none")
    np.testing.assert_allclose(result.kernel, kernel, atol=1e-9)


def test_masked_pixels_are_left_out():
    kernel = bump((11, 11))
    defects = Defects([(20, 20), (20, 45), (45, 30)])
    image = observe(kernel, defects, (64, 64))
    mask = np.ones(image.shape, bool)
    mask[15:20, 40:60] = False
    spoiled = np.where(mask, image, 50.0)
    result = extract(
        spoiled, defects, kernel_shape=(11, 11), method="average", mask=mask, background="none"
    )
    np.testing.assert_allclose(result.kernel, kernel, atol=1e-9)


def test_overlap_biases_the_average_but_not_least_squares():
    rng = np.random.default_rng(1)
    kernel = bump((21, 21))
    defects = Defects(rng.uniform(0, 63, (60, 2)))
    image = observe(kernel, defects, (64, 64))

    def error(method):
        found = extract(image, defects, kernel_shape=(21, 21), method=method).kernel.values
        return np.sqrt(((found - kernel) ** 2).mean()) / kernel.std()

    assert error("least_squares") < 0.05 < 0.3 < error("average")


@pytest.mark.parametrize("method", ["average", "least_squares"])
def test_symmetry_is_imposed(method):
    rng = np.random.default_rng(3)
    image = rng.standard_normal((64, 64))
    result = extract(
        image, rng.uniform(10, 50, (6, 2)), kernel_shape=(15, 15), method=method, symmetry="C4"
    )
    kernel = result.kernel.values
    np.testing.assert_allclose(kernel, np.rot90(kernel), atol=1e-9)
