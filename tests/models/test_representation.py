"""Networks see observations with mean 0 and deviation 1."""

import numpy as np
import torch

from qpi_kernels.models.representation import normalised_observation


def test_missing_pixels_are_zero_and_count_in_neither_mean_nor_deviation() -> None:
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.normal(7.0, 3.0, size=(2, 20, 30)))
    counted = torch.from_numpy(rng.random((2, 20, 30)) > 0.4)
    found = normalised_observation(torch.where(counted, image, torch.nan))
    assert (found[~counted] == 0).all()
    for plane, where, raw in zip(found, counted, image, strict=True):
        expected = (raw[where] - raw[where].mean()) / raw[where].std(unbiased=False)
        torch.testing.assert_close(plane[where], expected)
