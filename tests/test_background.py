"""The fitted background: offsets, planes and rows, of the pixels that count."""

import numpy as np
import pytest
import torch

from qpi_kernels.background import Background


@pytest.mark.parametrize("kind", ["none", "offset", "plane", "rows"])
def test_the_removed_background_is_that_of_the_counted_pixels(kind: str) -> None:
    rng = np.random.default_rng(0)
    mask = torch.from_numpy(rng.random((9, 12)) > 0.3)
    image = torch.from_numpy(rng.normal(size=(1, 9, 12)))
    row, column = np.indices((9, 12)).reshape(2, -1)
    offsets = np.eye(9)[row].T
    functions = {
        "none": np.zeros((0, row.size)),
        "offset": np.ones((1, row.size)),
        "plane": np.stack([np.ones(row.size), row, column]),
        "rows": np.vstack([offsets, column]),
    }[kind]
    counted = mask.numpy().ravel()
    values = image.numpy().ravel()
    coefficients = np.linalg.lstsq(functions[:, counted].T, values[counted], rcond=None)[0]
    expected = np.where(counted, values - coefficients @ functions, 0.0).reshape(1, 9, 12)
    found = Background(kind, mask, torch.float64).remove(image)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-10)
