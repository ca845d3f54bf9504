"""The normal operator on the kernels alone is that through the whole map."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qpi_kernels.linalg.rectangle_normal import RectangleNormal


def dense_normal(
    activation: np.ndarray, kernel_shape: tuple[int, int], shape: tuple[int, int]
) -> np.ndarray:
    """Write the definition: every kernel pixel's image on the rectangle, and their products."""
    height, width = kernel_shape
    columns = []
    for maps in activation:
        for j in range(height):
            for i in range(width):
                rows, across = height - 1 - j, width - 1 - i
                columns.append(maps[rows : rows + shape[0], across : across + shape[1]].ravel())
    return np.array(columns) @ np.array(columns).T


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    ("shape", "kernel_shape", "kinds"),
    [
        ((20, 26), (7, 10), 1),
        ((26, 20), (10, 7), 2),
        ((9, 12), (9, 11), 2),
        ((15, 11), (6, 1), 1),
        ((15, 11), (1, 1), 1),
    ],
)
def test_it_is_the_product_of_what_the_rectangle_shows(
    shape: tuple[int, int], kernel_shape: tuple[int, int], kinds: int, dtype: torch.dtype
) -> None:
    rng = np.random.default_rng(3)
    sites = (shape[0] + kernel_shape[0] - 1, shape[1] + kernel_shape[1] - 1)
    activation = rng.normal(size=(kinds, *sites)) * (rng.random((kinds, *sites)) < 0.2)
    expected = dense_normal(activation, kernel_shape, shape)
    normal = RectangleNormal(torch.from_numpy(activation), kernel_shape, dtype)
    unit = torch.eye(len(expected), dtype=dtype).view(-1, kinds, *kernel_shape)
    found = normal.apply(unit).flatten(1)
    assert found.dtype == dtype
    atol = 1e-13 if dtype == torch.float64 else 1e-5
    np.testing.assert_allclose(found.numpy(), expected, atol=atol * float(abs(expected).max()))


def test_a_kernel_has_the_same_bits_among_others() -> None:
    generator = torch.Generator().manual_seed(0)
    activation = torch.randn((1, 60, 70), generator=generator)
    normal = RectangleNormal(activation, (13, 18), torch.float32)
    kernels = torch.randn((9, 1, 13, 18), generator=generator)
    together = normal.apply(kernels)
    for parts in (1, 4):
        apart = torch.cat([normal.apply(some) for some in kernels.split(parts)])
        np.testing.assert_array_equal(apart.numpy(), together.numpy())
