"""Which channel a scan shows first: lock-in noise and constant height come after the rest."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from qpi_kernels.io import Channel, main_channel, scan_dataset
from qpi_kernels.io.channel_choice import shows_the_sample

SIZE = (40, 48)


def waves(noise=0.0, size=SIZE, seed=0):
    row, column = np.indices(size)
    image = np.sin(row / 4) * np.cos(column / 5 + row / 9)
    return image + noise * np.random.default_rng(seed).normal(size=size)


def lock_in_noise(size=SIZE, seed=1, along_rows=5):
    """White noise behind a low-pass filter, which knows nothing of the row before."""
    rng = np.random.default_rng(seed)
    kernel = np.ones(along_rows) / along_rows
    noise = [np.convolve(rng.normal(size=size[1] + 99), kernel, "same") for _ in range(size[0])]
    return np.array(noise)[:, 50 : 50 + size[1]] + rng.normal(size=(size[0], 1))


def scan_of(**data):
    kinds = {"didv": ("didv", "A"), "topography": ("topography", "nm"), "current": ("current", "A")}
    channels = [
        Channel(name, np.asarray(image, np.float32), kinds[name][1], kinds[name][0], "forward")
        for name, image in data.items()
    ]
    return scan_dataset(channels, source="scan", format="test", pixel_nm=(0.1, 0.1))


def test_a_didv_map_comes_before_topography():
    scan = scan_of(topography=waves(), current=waves(), didv=waves(noise=1.0))
    assert main_channel(scan).name == "didv_forward"


def test_lock_in_noise_comes_after_topography_and_current():
    scan = scan_of(didv=lock_in_noise(), topography=waves(), current=waves())
    assert main_channel(scan).name == "topography_forward"
    assert main_channel(scan.drop_vars("topography_forward")).name == "current_forward"
    assert main_channel(scan[["didv_forward"]]).name == "didv_forward"


@given(st.integers(0, 10_000), st.integers(1, 9), st.sampled_from([(64, 64), (128, 40), (30, 30)]))
def test_no_lock_in_noise_is_taken_for_a_map(seed, along_rows, size):
    image = xr.DataArray(lock_in_noise(size, seed, along_rows), dims=("y", "x"))
    assert shows_the_sample(image.assign_attrs(quantity="topography", units="nm"))
    assert not shows_the_sample(image.assign_attrs(quantity="didv"))


@pytest.mark.parametrize("slope", [0.0, 0.02])
def test_current_comes_first_at_constant_height(slope):
    row, column = np.indices(SIZE)
    height = 17.24 + slope * row - slope * column
    scan = scan_of(topography=height, current=waves())
    assert main_channel(scan).name == "current_forward"
    feedback = scan_of(topography=height + 0.005 * waves(), current=waves())
    assert main_channel(feedback).name == "topography_forward"


@given(st.integers(0, 10_000), st.sampled_from([(64, 64), (40, 128)]))
def test_a_faint_map_is_no_noise(seed, size):
    """Noise of twice the standard deviation of the waves leaves them visible by eye."""
    image = xr.DataArray(waves(1.0, size, seed), dims=("y", "x"), attrs={"quantity": "didv"})
    assert shows_the_sample(image)


def test_unscanned_rows_do_not_hide_a_map():
    image = waves()
    image[25:] = np.nan
    assert main_channel(scan_of(topography=waves(), didv=image)).name == "didv_forward"
    empty = np.full(SIZE, np.nan)
    assert main_channel(scan_of(topography=empty, didv=empty, current=waves())).name == (
        "current_forward"
    )


def test_a_cube_needs_no_judgement():
    noise = np.stack([lock_in_noise(seed=seed) for seed in range(3)])
    scan = scan_of(topography=waves())
    scan["didv"] = (("bias", "y", "x"), noise, {"quantity": "didv"})
    assert main_channel(scan).name == "didv"


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("rhk_topo_ABC_graphite.sm4", "topography_forward"),
        ("nanonis_gen5_Au_mica.sxm", "current_forward"),
        ("nanonis_moire_10nm.sxm", "topography_forward"),
        ("nanonis_grid_bias.3ds", "didv"),
    ],
)
def test_real_files(sample, name, first):
    from qpi_kernels.io import open_scan

    assert main_channel(open_scan(sample(name))).name == first
