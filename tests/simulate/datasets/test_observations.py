"""Observations of a data set: whose pixel is whose, and the published activation."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from qpi_kernels.forward import ForwardModel
from qpi_kernels.simulate.datasets.netcdf_layout import netcdf_path, write_netcdf
from qpi_kernels.simulate.datasets.observations import (
    binary_activation,
    dataset_defects,
    paper_activation,
)
from qpi_kernels.simulate.datasets.read_dataset import read_qpi_dataset
from shared.public_dataset import PUBLIC_AXIS, write_csv


def ring(x_A, y_A):
    """Lopsided waves, band-limited and gone before the kernel's window ends."""
    envelope = np.exp(-(x_A**2 / (2 * 20.0**2) + y_A**2 / (2 * 26.0**2)))
    return envelope * (np.cos(0.1 * x_A + 0.05 * y_A) + 0.02 * (x_A - y_A))


def smooth_samples(axis_A, count=2):
    """Observations as sums of `ring` in continuous coordinates: no kernel image is shifted."""
    x, y = axis_A[None, :], axis_A[:, None]
    points = np.random.default_rng(1).uniform(axis_A[0], axis_A[-1], (count, 5, 2))
    images = [sum(ring(x - px, y - py) for px, py in sample) for sample in points]
    return dict(kernel=ring(x, y), observations=np.array(images), positions_A=points, axis_A=axis_A)


@pytest.mark.parametrize(
    ("axis_A", "centre"),
    [
        (PUBLIC_AXIS, 31.5),
        (np.linspace(-200, 200, 65), 32.0),
        (np.linspace(-190, 200, 63), 190 * 62 / 390),
    ],
)
@pytest.mark.parametrize("write", ["csv", "nc"])
def test_defects_and_kernel_reproduce_the_observations(tmp_path, write, axis_A, centre):
    samples = smooth_samples(axis_A)
    if write == "csv":
        write_csv(tmp_path, 1, samples)
    else:
        write_netcdf(netcdf_path(tmp_path, 1), number=1, **samples)
    dataset = read_qpi_dataset(tmp_path)
    assert_allclose(dataset.attrs["kernel_centre_px"], (centre, centre), rtol=1e-12)
    kernel = torch.from_numpy(dataset.kernel_true[0].values[None].astype(np.float64))
    shape = kernel.shape[-2:]
    for sample in range(2):
        defects = dataset_defects(dataset, 0, sample)
        predicted = ForwardModel(defects, shape, shape).apply(kernel)
        peak = np.abs(samples["observations"][sample]).max()
        # Sub-pixel shifts are good to 1e-4; half a pixel would be wrong by a tenth of the peak.
        assert_allclose(predicted, dataset.observation[0, sample], atol=3e-4 * peak)


def test_the_public_axis_shifts_defects_by_half_a_pixel(tmp_path):
    write_csv(tmp_path, 1, smooth_samples(PUBLIC_AXIS))
    dataset = read_qpi_dataset(tmp_path)
    assert_allclose(dataset_defects(dataset, 0, 1).positions, dataset.position[0, 1] + 0.5)


def literal_activation(values):
    """The published loop, on the numbers that follow an image in its line."""
    grid = np.zeros((64, 64))
    for i in range(0, len(values) - 1, 2):
        x, y = values[i], values[i + 1]
        if -100 <= x <= 100 and -100 <= y <= 100:
            grid_x, grid_y = int((x + 200) / (400 / 64)), int((y + 200) / (400 / 64))
            if 0 <= grid_x < 64 and 0 <= grid_y < 64:
                grid[grid_x][grid_y] = 1
    return grid


def test_the_published_activation_by_hand():
    points = [
        (0.0, 0.0),  # pixel 32 of 0..63 along both axes
        (0.1, 6.2),  # the same pixel: the two become one
        (-0.1, 6.3),  # x in pixel 31, y in pixel 33
        (-100.0, 100.0),  # the edges of the central half count: x 16, y 48
        (-100.1, 0.0),  # outside
        (93.7, -93.8),  # x 46, since 93.75 begins pixel 47; y 16, since -93.75 begins pixel 17
        (np.nan, np.nan),
    ]
    found = binary_activation(np.array(points), PUBLIC_AXIS)
    assert sorted(map(tuple, np.argwhere(found))) == [(16, 46), (32, 32), (33, 31), (48, 16)]
    assert found.dtype == np.float32
    assert found.max() == 1


@pytest.mark.parametrize("write", ["csv", "nc"])
def test_the_published_activation_is_that_of_the_published_loop(tmp_path, write):
    rng = np.random.default_rng(2)
    positions = np.full((40, 20, 2), np.nan)
    for sample in positions:
        sample[: rng.integers(1, 20)] = 200.0
    used = ~np.isnan(positions)
    positions[used] = np.round(rng.uniform(-200, 200, used.sum()), 3)
    # Pixel borders, where the last bit of a coordinate decides.
    positions[:10][used[:10]] = rng.integers(-20, 21, used[:10].sum()) * 6.25
    samples = dict(
        kernel=np.ones((64, 64)),
        observations=np.ones((40, 64, 64)),
        positions_A=positions,
        axis_A=PUBLIC_AXIS,
    )
    if write == "csv":
        write_csv(tmp_path, 1, samples)
    else:
        write_netcdf(netcdf_path(tmp_path, 1), number=1, **samples)
    dataset = read_qpi_dataset(tmp_path)
    for sample in range(40):
        listed = np.where(np.isnan(positions[sample]), 1000.0, positions[sample]).ravel()
        assert_array_equal(
            paper_activation(dataset, 0, sample), literal_activation(listed).T, err_msg=str(sample)
        )


@pytest.mark.parametrize(("half_A", "side"), [(200, 64), (150, 48), (300, 100)])
def test_scatterers_on_pixel_borders_keep_their_pixel(tmp_path, half_A, side):
    axis_A = np.linspace(-half_A, half_A, side)
    border_A = np.arange(side + 1) * 2 * half_A / side - half_A
    points = np.stack([border_A, border_A[::-1]], axis=-1)[:, None]
    images = np.ones((len(points), side, side))
    path = netcdf_path(tmp_path, 1)
    write_netcdf(
        path, number=1, kernel=images[0], observations=images, positions_A=points, axis_A=axis_A
    )
    dataset = read_qpi_dataset(path)
    for sample, expected in enumerate(points):
        found = paper_activation(dataset, 0, sample)
        assert_array_equal(found, binary_activation(expected, axis_A))


def test_the_published_activation_scales_with_the_field_of_view():
    axis_A = np.linspace(-50, 50, 20)
    points = np.array([(0.0, 0.0), (-25.0, 25.0), (4.9, 5.0), (25.1, 0.0)])
    found = binary_activation(points, axis_A)
    assert sorted(map(tuple, np.argwhere(found))) == [(10, 10), (11, 10), (15, 5)]
