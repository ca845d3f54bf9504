"""What networks are shown of a map."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qpi_kernels.defects import Defects
from qpi_kernels.forward import ForwardModel
from qpi_kernels.models.kernel_estimates import ESTIMATE_CHANNELS, kernel_estimates

WINDOW = (17, 15)


def lopsided_kernel() -> torch.Tensor:
    rows, columns = (torch.arange(side) - side // 2 for side in WINDOW)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.exp(-((y - 1) ** 2 + (x + 2) ** 2) / 6.0) * torch.cos(1.3 * x + 0.4 * y)


def observed(
    device: str, count: int, shape: tuple[int, int] = (72, 60)
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = np.random.default_rng(3)
    positions = generator.uniform([0, 0], np.array(shape) - 1, (count, 2)).round()
    defects = Defects(positions)
    model = ForwardModel(defects, shape, WINDOW, dtype=torch.float64)
    observation = model.apply(lopsided_kernel().double()[None, None])
    activation = torch.from_numpy(defects.activation(shape))[None, None]
    return observation[None].float().to(device), activation.float().to(device)


def correlation(one: torch.Tensor, other: torch.Tensor) -> float:
    pair = torch.stack([one.cpu().flatten(), other.cpu().flatten()])
    return float(torch.corrcoef(pair)[0, 1])


def amplitude(channel: torch.Tensor) -> torch.Tensor:
    return torch.sinh(channel)


def test_the_last_estimate_is_the_kernel_where_data_are_plenty(device: str) -> None:
    channels = kernel_estimates(*observed(device, 20), WINDOW)[0]
    assert channels.shape == (ESTIMATE_CHANNELS, *WINDOW)
    found = [correlation(amplitude(channel), lopsided_kernel()) for channel in channels[:-1]]
    assert found == sorted(found)
    assert found[-1] > 0.99


def test_a_lone_defect_needs_no_iterations(device: str) -> None:
    channels = kernel_estimates(*observed(device, 1), WINDOW)[0]
    for channel in channels[:-1]:
        assert correlation(amplitude(channel), lopsided_kernel()) > 0.98


def test_missing_pixels_do_not_count(device: str) -> None:
    observation, activation = observed(device, 20)
    generator = torch.Generator().manual_seed(1)
    missing = torch.rand(observation.shape, generator=generator) < 0.3
    observation[missing.to(device)] = torch.nan
    channels = kernel_estimates(observation, activation, WINDOW)[0]
    assert channels.isfinite().all()
    assert correlation(amplitude(channels[-2]), lopsided_kernel()) > 0.97


@pytest.mark.parametrize("factor", [1e-12, 3e9])
def test_the_unit_of_the_map_does_not_matter(device: str, factor: float) -> None:
    observation, activation = observed(device, 8)
    expected = kernel_estimates(observation, activation, WINDOW)
    found = kernel_estimates(observation * factor + 2 * factor, activation, WINDOW)
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=2e-3)


def test_samples_of_a_batch_do_not_mix(device: str) -> None:
    one, other = observed(device, 5), observed(device, 20)
    both = kernel_estimates(torch.cat([one[0], other[0]]), torch.cat([one[1], other[1]]), WINDOW)
    torch.testing.assert_close(both[1:], kernel_estimates(*other, WINDOW), atol=1e-4, rtol=1e-4)


def test_nothing_marked_and_nothing_seen_give_zeros(device: str) -> None:
    nothing = torch.zeros(1, 1, 20, 20, device=device)
    assert (kernel_estimates(nothing, nothing, WINDOW) == 0).all()


def test_neighbours_show_in_the_last_channel(device: str) -> None:
    activation = torch.zeros(1, 1, 40, 40, device=device)
    activation[..., 20, 20] = activation[..., 23, 16] = 1
    neighbours = kernel_estimates(torch.rand(1, 1, 40, 40).to(device), activation, WINDOW)[0, -1]
    middle = (WINDOW[0] // 2, WINDOW[1] // 2)
    peaks = {tuple(place) for place in (neighbours > 0.5 * neighbours.max()).nonzero().tolist()}
    assert peaks == {middle, (middle[0] + 3, middle[1] - 4), (middle[0] - 3, middle[1] + 4)}
