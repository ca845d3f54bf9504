"""Removing pickup."""

from __future__ import annotations

import os
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import qpi_kernels as qk
from qpi_kernels import prepare
from shared.drifted_lattices import bragg, drifted, regular

SHAPE = (192, 203)
ROWS, COLUMNS = np.indices(SHAPE, float)


def sample(lattice="square", seed=0):
    """Return standing waves about defects on a lattice with drift, terraces and noise."""
    rng = np.random.default_rng(seed)
    total = drifted(SHAPE, bragg(lattice, 8.0, 12.0))[0] if lattice else np.zeros(SHAPE)
    for row, column in rng.uniform(0, 190, (20, 2)):
        away = np.hypot(ROWS - row, COLUMNS - column)
        total += 3 * np.cos(0.5 * away + 1) * np.exp(-away / 40) / np.sqrt(1 + away / 3)
    return total + 0.3 * rng.normal(size=SHAPE) + 0.05 * ROWS


def tone(amplitude, row=0.337, column=1.0231, phase=0.4):
    return amplitude * np.cos(row * ROWS + column * COLUMNS + phase)


def removed(image, **options):
    mask = options.pop("mask", None)
    made = prepare.run(image, [prepare.RemovePickup(**options)], mask=mask)
    return made, made.report["remove_pickup"]


def share(left, rest):
    return float(np.std(left) / np.std(rest))


@pytest.mark.parametrize("lattice", [None, "square", "hexagonal"])
@pytest.mark.parametrize("amplitude", [0.5, 4.0])
def test_a_tone_off_the_grid_of_the_transform_goes_and_the_rest_stays(lattice, amplitude) -> None:
    rest = sample(lattice)
    made, report = removed(rest + tone(amplitude))
    assert report["tones"] == 1
    assert report["amplitude"][0] == pytest.approx(amplitude, rel=0.03)
    np.testing.assert_allclose(report["wave_rad_per_px"][0], [0.337, 1.0231], atol=1e-3)
    assert share(made.image.values - rest, rest) < 0.01
    assert report["removed_share"] > 0.05


def test_harmonics_and_several_tones_are_found() -> None:
    rest = sample()
    waves = tone(2.0) + 0.1 * tone(2.0, 0.674, 2.0462) + tone(1.0, -2.2, 1.71)
    made, report = removed(rest + waves)
    assert report["tones"] == 3
    assert share(made.image.values - rest, rest) < 0.01


@pytest.mark.parametrize("lattice", ["square", "hexagonal"])
@pytest.mark.parametrize("phase", ["locked", "per row"])
def test_lattices_and_rings_are_no_pickup(lattice, phase) -> None:
    still = regular(np.stack([ROWS, COLUMNS]), bragg(lattice, 8.0, 12.0))
    for image in (sample(lattice), still + 0.1 * sample(None), sample(None), 50.0 * (COLUMNS > 90)):
        made, report = removed(image, phase=phase)
        assert report["tones"] == 0
        np.testing.assert_array_equal(made.image.values, image)


def test_masked_pixels_do_not_count_and_nan_stays() -> None:
    rest = sample()
    mask = np.ones(SHAPE, bool)
    mask[60:80, 40:100] = False
    image = np.where(mask, rest, rest + 100.0) + tone(2.0)
    image[150:] = np.nan
    made, report = removed(image, mask=mask)
    assert report["tones"] == 1
    counted = mask & np.isfinite(image)
    assert share((made.image.values - rest)[counted], rest[counted]) < 0.02
    assert np.isnan(made.image.values[150:]).all()
    # What does not count is rid of the same wave.
    np.testing.assert_allclose(
        (image - made.image.values)[61:79, 41:99], tone(2.0)[61:79, 41:99], atol=0.1
    )
    np.testing.assert_array_equal(made.mask, mask)


@pytest.mark.parametrize("phases", ["random", "wandering"])
def test_mains_with_a_phase_of_its_own_in_every_row(phases) -> None:
    rng = np.random.default_rng(3)
    rest = sample()
    steps = rng.uniform(0, 7, SHAPE[0]) if phases == "random" else 0.7 + 0.2 * rng.normal(size=192)
    phase = steps if phases == "random" else np.cumsum(steps)
    pickup = np.cos(1.4331 * COLUMNS + phase[:, None])
    offsets = 2 * rng.normal(size=(SHAPE[0], 1))
    made, report = removed(rest + pickup + offsets, phase="per row")
    assert report["tones"] == 1
    assert np.isnan(report["wave_rad_per_px"][0, 0])
    assert report["wave_rad_per_px"][0, 1] == pytest.approx(1.4331, abs=2e-3)
    assert report["amplitude"][0] == pytest.approx(1.0, rel=0.05)
    assert np.std(made.image.values - rest - offsets) < 0.1 * np.std(pickup)
    _, locked = removed(rest + pickup + offsets)
    assert locked["tones"] == 0


def test_every_bias_has_its_own_phase_and_frequencies_are_in_hz() -> None:
    rest = sample(None)
    planes = np.stack([rest + tone(2.0), rest + tone(1.0, phase=1.0)]).astype(np.float32)
    cube = xr.DataArray(
        da.from_array(planes, chunks=(1, 96, 203)),
        dims=("bias", "y", "x"),
        coords={
            "bias": [0.1, 0.2],
            "y": ("y", 0.1 * np.arange(192), {"units": "nm"}),
            "x": ("x", 0.1 * np.arange(203), {"units": "nm"}),
        },
        attrs={"units": "A", "scan_speed_nm_s": 30.0},
    )
    made, report = removed(cube)
    assert hasattr(made.image.data, "dask")
    assert made.image.attrs == cube.attrs
    assert report["frequency_Hz"][0] == pytest.approx(1.0231 / 0.1 * 30 / (2 * np.pi), rel=1e-3)
    assert report["amplitude_unit"] == "A"
    for plane in made.image.values:
        assert share(plane - rest, rest) < 0.01
    assert prepare.replay(cube, made.history).image.identical(made.image)
    found = prepare.find_pickup(cube)
    np.testing.assert_allclose(found.waves, found.waves_px / 0.1)
    np.testing.assert_allclose(found.frequency_hz, report["frequency_Hz"])
    assert prepare.find_pickup(rest).frequency_hz is None


def test_the_number_of_tones_can_be_limited() -> None:
    image = sample(None)[:64, :64] + (tone(2.0) + tone(1.5, -2.2, 1.71))[:64, :64]
    assert removed(image)[1]["tones"] == 2
    assert removed(image, max_tones=1)[1]["tones"] == 1
    assert len(prepare.find_pickup(image, max_tones=1).waves) == 1


def test_small_numbers_are_as_good() -> None:
    rest = sample()
    made, report = removed(1e-12 * (rest + tone(2.0)))
    assert report["tones"] == 1
    assert share(1e12 * made.image.values - rest, rest) < 0.01
    _, report = removed(np.full(SHAPE, 1e-9) * (1 + 1e-9 * rest))
    assert report["tones"] == 0


@pytest.mark.parametrize(
    ("name", "channel", "hertz"),
    [
        ("nanonis_moire_10nm.sxm", "topography_forward", 50.0),
        ("createc_friedel_rings_60nm.dat", "topography_forward", 450.0),
    ],
)
def test_mains_are_found_in_real_scans(name, channel, hertz) -> None:
    folder = os.environ.get("NAPARI_QPI_SAMPLES")
    if not folder:
        pytest.skip("set NAPARI_QPI_SAMPLES to the folder of real microscope files")
    scan = qk.open_scan(Path(folder) / name)[channel]
    _, report = removed(scan, phase="per row")
    assert report["frequency_Hz"][0] == pytest.approx(hertz, rel=2e-3)
