"""Every preset on simulated scans of its kind, and on a real one."""

import numpy as np
import pytest
import xarray as xr

import qpi_kernels as qk
from qpi_kernels import prepare

SHAPE = (120, 150)


def named(values, units, quantity):
    return xr.DataArray(
        values,
        dims=("bias", "y", "x")[-np.ndim(values) :],
        attrs={"units": units, "quantity": quantity},
    )


def waves(wavelength=9.0, seed=0):
    """Return rings about six points, with noise of a fifth of their height."""
    random = np.random.default_rng(seed)
    down, right = np.indices(SHAPE)
    image = random.normal(scale=0.1, size=SHAPE)
    for row, column in random.uniform(5, 115, (6, 2)):
        r = np.hypot(down - row, right - column)
        image += np.cos(2 * np.pi * r / wavelength) / np.sqrt(1 + r / 3)
    return image


def test_a_topograph_with_steps_keeps_its_waves_and_heights() -> None:
    random = np.random.default_rng(1)
    down, right = np.indices(SHAPE)
    truth = 0.01 * waves()
    step = 0.24 * (right + 0.5 * down > 120)
    raw = truth + step + 0.002 * down - 0.003 * right + 0.02 * random.normal(size=(SHAPE[0], 1))
    steps = prepare.presets()["topograph with steps"]
    made = prepare.run(named(raw, "nm", "topography"), steps)
    edge = np.abs(right + 0.5 * down - 120) / np.hypot(1, 0.5)
    assert not made.mask[edge < 1.5].any()
    assert made.mask[edge > 14].mean() > 0.97
    left, upper = (made.mask & (step == height) for height in (0.0, 0.24))
    rest = made.image.values - truth
    height = np.median(rest[upper]) - np.median(rest[left])
    assert height == pytest.approx(0.24, abs=0.005)
    for terrace in (left, upper):
        assert np.std(rest[terrace]) < 0.25 * np.std(truth)


@pytest.mark.parametrize("angle", [4.0, 5.0, 20.0])
def test_a_step_at_a_small_angle_keeps_its_height(angle) -> None:
    random = np.random.default_rng(1)
    down, right = np.indices((200, 200))
    turn = np.deg2rad(angle)
    away = (down - 107) * np.cos(turn) - (right - 100) * np.sin(turn)
    image = 0.236 * (away > 0) + 0.002 * down - 0.001 * right
    image = image + random.normal(0, 0.03, (200, 1)) + random.normal(0, 0.002, (200, 200))
    made = prepare.run(named(image, "nm", "topography"), prepare.presets()["topograph with steps"])
    upper, lower = (made.mask & side for side in (away > 12, away < -12))
    height = np.median(made.image.values[upper]) - np.median(made.image.values[lower])
    assert height == pytest.approx(0.236, rel=0.03)


def test_a_didv_map_loses_pickup_and_a_constant() -> None:
    truth = waves()
    right = np.indices(SHAPE)[1]
    raw = 3.0 + truth + 2.0 * np.cos(1.317 * right + 0.7)
    made = prepare.run(named(raw, "S", "didv"), prepare.presets()["dI/dV map"])
    rest = made.image.values - truth
    assert np.std((rest - rest.mean())[made.mask]) < 0.05 * np.std(truth)
    assert abs(np.median(made.image.values)) < 0.1


def test_a_grid_keeps_every_pixel_and_plane() -> None:
    raw = np.stack([waves(9.0), waves(12.0)]) + np.array([5.0, -3.0])[:, None, None]
    made = prepare.run(named(raw, "S", "didv"), prepare.presets()["dI/dV grid"])
    assert made.mask.all()
    np.testing.assert_allclose(np.median(made.image.values, axis=(1, 2)), 0.0, atol=1e-6)
    shifted = made.image.values - raw
    assert np.std(shifted, axis=(1, 2)).max() < 0.05


def test_a_grid_follows_the_lattice_of_its_topography() -> None:
    down, right = (axis.astype(float) for axis in np.indices(SHAPE))
    drift = 1.2 * np.sin(2 * np.pi * down / SHAPE[0])
    atoms = np.cos(2 * np.pi * (right - drift) / 7.0) + np.cos(2 * np.pi * down / 7.0)
    height = atoms + np.random.default_rng(0).normal(scale=0.3, size=SHAPE)
    didv = np.cos(2 * np.pi * (right - drift) / 7.0)
    steps = prepare.presets()["atomic topograph with its grid"]
    image = named(np.stack([didv, 2 * didv]), "S", "didv")
    made = prepare.run(image, steps, channels={"topography": named(height, "nm", "topography")})
    straight = made.image.values[0]
    inner = np.s_[20:-20, 20:-20]
    column = np.cos(2 * np.pi * right / 7.0)[inner]
    sine = np.sin(2 * np.pi * right / 7.0)[inner]
    phase = np.arctan2((straight[inner] * sine).sum(axis=1), (straight[inner] * column).sum(axis=1))
    along = np.unwrap(phase) * 7.0 / (2 * np.pi)
    # The mean lattice is the target, so a linear drift is part of it.
    rows = np.arange(along.size)
    bent = along - np.polyval(np.polyfit(rows, along, 1), rows)
    was = drift[20:-20, 0] - np.polyval(np.polyfit(rows, drift[20:-20, 0], 1), rows)
    assert np.std(bent) < 0.15
    assert np.std(bent) < 0.3 * np.std(was)
    assert {entry["step"] for entry in made.history} >= {"correct_drift"}


def test_a_current_at_constant_height_keeps_its_molecule() -> None:
    down, right = np.indices(SHAPE)
    molecule = -5.0 * np.exp(-(((down - 60) / 15.0) ** 2) - ((right - 70) / 20.0) ** 2)
    noise = np.random.default_rng(0).normal(scale=0.05, size=SHAPE)
    raw = molecule + noise + 0.004 * right
    made = prepare.run(named(raw, "A", "current"), prepare.presets()["constant-height current"])
    rest = (made.image.values - molecule)[made.mask]
    assert np.std(rest) < 0.15


@pytest.mark.parametrize(
    ("preset", "file", "channel"),
    [
        ("topograph with steps", "createc_step_defects_100nm.dat", "topography_forward"),
        ("topograph with steps", "createc_aborted_20nm.dat", "topography_forward"),
        ("topograph with steps", "omicron/20201111--4_1.Z_mtrx", "topography_forward"),
        ("dI/dV map", "rhk_topo_ABC_graphite.sm4", "didv_forward"),
        ("dI/dV grid", "nanonis_grid_bias.3ds", "didv"),
        ("constant-height current", "nanonis_gen5_Au_mica.sxm", "current_forward"),
    ],
)
def test_a_real_scan_is_prepared_and_repeated_to_the_bit(sample, preset, file, channel) -> None:
    raw = qk.open_scan(sample(file))[channel]
    made = prepare.run(raw, prepare.presets()[preset])
    measured = np.isfinite(raw.values if raw.ndim == 2 else raw.values.mean(axis=0))
    assert made.mask[measured].mean() > 0.75
    again = prepare.replay(raw, made.history)
    assert again.image.identical(made.image)
    np.testing.assert_array_equal(again.mask, made.mask)


def test_the_step_of_a_real_terrace_keeps_its_height(sample) -> None:
    raw = qk.open_scan(sample("createc_step_defects_100nm.dat"))["topography_forward"]
    made = prepare.run(raw, prepare.presets()["topograph with steps"])
    labels = made.report["mask_steps"]["terraces"]
    sizes = np.bincount(labels[labels > 0])
    first, second = np.argsort(sizes)[-2:]
    values = made.image.values
    height = np.median(values[labels == first]) - np.median(values[labels == second])
    assert abs(height) == pytest.approx(0.246, abs=0.01)
