"""The forward model: transpose, boundaries, centres, sub-pixel positions and background."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qpi_kernels import Defects
from qpi_kernels.background import Background
from qpi_kernels.forward import ForwardModel

sizes = st.tuples(st.integers(4, 24), st.integers(4, 24))


def superpose(kernel, positions, shape):
    """The definition, pixel by pixel: whole-pixel positions, linear boundaries."""
    image = np.zeros(shape)
    height, width = kernel.shape
    for row, col in positions:
        for u in range(height):
            for v in range(width):
                y, x = row + u - height // 2, col + v - width // 2
                if 0 <= y < shape[0] and 0 <= x < shape[1]:
                    image[y, x] += kernel[u, v]
    return image


@settings(max_examples=40, deadline=None)
@given(image=sizes, kernel=sizes, seed=st.integers(0, 2**32 - 1))
def test_adjoint_is_the_transpose(device, image, kernel, seed):
    rng = np.random.default_rng(seed)
    positions = rng.uniform(-6, 30, (9, 2))
    defects = Defects(positions, kind=["a", "b", "a"] * 3, strength=rng.normal(size=9))
    model = ForwardModel(defects, image, kernel, device=device)
    kernels = torch.from_numpy(rng.standard_normal((3, 2, *kernel))).to(device)
    images = torch.from_numpy(rng.standard_normal((3, *image))).to(device)
    predicted, correlated = model.apply(kernels), model.adjoint(images)
    scale = float(predicted.norm() * images.norm()) + 1e-30
    difference = float((predicted * images).sum() - (kernels * correlated).sum())
    assert abs(difference) <= 1e-10 * scale


@pytest.mark.parametrize("kernel_shape", [(7, 7), (8, 8), (5, 8), (31, 30)])
def test_whole_pixel_positions_superpose_kernels_without_wrapping(device, kernel_shape):
    shape = (20, 23)
    positions = np.array([[3, 4], [-2, 11], [19, 22], [21, 0], [10, 10]])
    kernel = np.random.default_rng(1).standard_normal(kernel_shape)
    model = ForwardModel(Defects(positions), shape, kernel_shape, device=device)
    predicted = model.apply(torch.from_numpy(kernel)[None].to(device)).cpu().numpy()
    np.testing.assert_allclose(predicted, superpose(kernel, positions, shape), atol=1e-12)


def test_a_single_defect_shows_its_kernel_around_index_half():
    kernel = np.zeros((8, 6))
    kernel[4, 3] = 1.0
    model = ForwardModel(Defects([(5, 9)]), (12, 16), kernel.shape)
    predicted = model.apply(torch.from_numpy(kernel)[None]).numpy()
    assert np.unravel_index(predicted.argmax(), predicted.shape) == (5, 9)


@settings(max_examples=25, deadline=None)
@given(row=st.floats(20, 40), col=st.floats(20, 40))
def test_sub_pixel_positions_shift_a_smooth_kernel(row, col):
    grid = np.indices((41, 41)) - 20

    def wave(y, x):
        return np.exp(-(y**2 + x**2) / 50) * np.cos(0.9 * x + 0.4 * y)

    model = ForwardModel(Defects([(row, col)]), (64, 64), (41, 41))
    predicted = model.apply(torch.from_numpy(wave(*grid))[None]).numpy()
    y, x = np.indices((64, 64))
    inside = np.hypot(y - row, x - col) < 13
    error = predicted - wave(y - row, x - col)
    assert np.abs(error[inside]).max() < 2e-3


def test_strengths_scale_and_kinds_keep_apart():
    rng = np.random.default_rng(0)
    kernels = torch.from_numpy(rng.standard_normal((2, 5, 5)))
    both = Defects([(4, 4), (9, 12)], kind=["a", "b"], strength=[2.0, -0.5])
    predicted = ForwardModel(both, (16, 16), (5, 5)).apply(kernels).numpy()
    alone = 2.0 * superpose(kernels[0].numpy(), [(4, 4)], (16, 16))
    other = -0.5 * superpose(kernels[1].numpy(), [(9, 12)], (16, 16))
    np.testing.assert_allclose(predicted, alone + other, atol=1e-12)


def test_coverage_is_the_diagonal_of_the_normal_operator(device):
    rng = np.random.default_rng(3)
    defects = Defects(rng.uniform(-3, 18, (6, 2)), strength=rng.normal(size=6))
    mask = torch.from_numpy(rng.random((15, 14)) > 0.3).to(device)
    model = ForwardModel(defects, (15, 14), (6, 7), device=device)
    units = torch.eye(42, dtype=torch.float64, device=device).view(42, 1, 6, 7)
    columns = model.apply(units) * mask
    diagonal = columns.square().sum(dim=(-2, -1)).view(1, 6, 7)
    torch.testing.assert_close(model.coverage(mask), diagonal, atol=1e-10, rtol=1e-8)


def test_variances_add_up_with_the_squared_weights(device):
    rng = np.random.default_rng(4)
    defects = Defects(rng.uniform(0, 14, (6, 2)), kind=["a", "b"] * 3, strength=rng.normal(size=6))
    model = ForwardModel(defects, (15, 14), (6, 7), device=device)
    variances = torch.from_numpy(rng.random((2, 2, 6, 7))).to(device)
    units = torch.eye(84, dtype=torch.float64, device=device).view(84, 2, 6, 7)
    weights = model.apply(units).square().view(84, -1)
    expected = (variances.view(2, 84) @ weights).view(2, 15, 14)
    torch.testing.assert_close(model.apply_variance(variances), expected, atol=1e-10, rtol=1e-8)


def test_float32_agrees_with_float64(device):
    rng = np.random.default_rng(5)
    defects = Defects(rng.uniform(0, 60, (12, 2)))
    kernel = torch.from_numpy(rng.standard_normal((1, 33, 33))).to(device)
    double, single = (
        ForwardModel(defects, (64, 64), (33, 33), dtype=dtype, device=device).apply(
            kernel.to(dtype)
        )
        for dtype in (torch.float64, torch.float32)
    )
    assert float((double - single).norm() / double.norm()) < 1e-6


@pytest.mark.parametrize("kind", ["none", "offset", "plane", "rows"])
def test_background_is_an_orthogonal_projection(device, kind):
    rng = np.random.default_rng(2)
    mask = torch.from_numpy(rng.random((9, 11)) > 0.3).to(device)
    mask[4] = False
    background = Background(kind, mask)
    first, second = torch.from_numpy(rng.standard_normal((2, 9, 11))).to(device)
    once = background.remove(first)
    torch.testing.assert_close(background.remove(once), once)
    assert float((once * second).sum()) == pytest.approx(
        float((first * background.remove(second)).sum())
    )
    units = torch.eye(99, dtype=torch.float64, device=device).view(99, 9, 11)
    rank = int(torch.linalg.matrix_rank(background.remove(units).view(99, 99).cpu()))
    assert rank == int(mask.sum()) - background.parameters


@pytest.mark.parametrize(
    ("kind", "parameters"), [("none", 0), ("offset", 1), ("plane", 3), ("rows", 13)]
)
def test_background_fits_what_it_says(device, kind, parameters):
    y, x = np.indices((12, 10))
    shapes = {
        "none": np.zeros((12, 10)),
        "offset": np.full((12, 10), 4.0),
        "plane": 2.0 + 0.3 * y - 0.7 * x,
        "rows": np.random.default_rng(0).standard_normal((12, 1)) + 0.2 * x,
    }
    mask = torch.ones(12, 10, dtype=torch.bool, device=device)
    mask[3:5, 2:6] = False
    background = Background(kind, mask)
    image = torch.from_numpy(shapes[kind]).to(device)
    spoiled = torch.where(mask, image, 1e3) if kind == "none" else torch.where(mask, image, 0.0)
    assert background.parameters == parameters
    torch.testing.assert_close(background.fit(spoiled)[mask], image[mask], atol=1e-9, rtol=0)


def test_the_background_is_extrapolated_under_the_mask():
    y, x = np.indices((12, 10))
    mask = torch.ones(12, 10, dtype=torch.bool)
    mask[3:7, 2:6] = False
    plane = torch.from_numpy(1.0 + 0.5 * y - 0.25 * x)
    fitted = Background("plane", mask).fit(torch.where(mask, plane, 99.0))
    torch.testing.assert_close(fitted, plane)
