"""Suggestions on simulated topographs whose faults are known."""

import numpy as np
import pytest
import xarray as xr

import qpi_kernels as qk
from qpi_kernels import prepare

SHAPE = (96, 128)


def topograph(*, tilt=0.0, rows=0.0, step=0.0, glitches=0, seed=0, quantity="topography"):
    """A topograph in nm with noise of 2 pm and waves of 5 pm about three defects."""
    random = np.random.default_rng(seed)
    down, right = np.indices(SHAPE)
    image = random.normal(scale=0.002, size=SHAPE)
    for row, column in ((20, 30), (60, 90), (80, 20)):
        r = np.hypot(down - row, right - column)
        image += 0.005 * np.cos(0.9 * r) / (1 + r / 4)
    image += tilt * (down / SHAPE[0] + right / SHAPE[1]) + rows * random.normal(size=(SHAPE[0], 1))
    image += step * (right + 0.6 * down > 90)
    spots = random.integers(0, SHAPE, size=(glitches, 2))
    image[tuple(spots.T)] += 0.2
    return xr.DataArray(image, dims=("y", "x"), attrs={"units": "nm", "quantity": quantity})


def names(suggestion):
    return [step.name() for step in suggestion.steps]


def test_a_level_image_needs_no_levelling() -> None:
    found = prepare.suggest(topograph())
    assert not {"mask_steps", "align_rows", "level"} & set(names(found))
    assert not found.needed
    assert len(found.reasons) == len(found.steps)


@pytest.mark.parametrize(
    ("faults", "step"),
    [
        ({"tilt": 0.5}, "level"),
        ({"rows": 0.05}, "align_rows"),
        ({"step": 0.24}, "mask_steps"),
    ],
)
def test_each_fault_is_met_and_called_needed(faults, step) -> None:
    found = prepare.suggest(topograph(**faults))
    assert step in names(found)
    assert found.needed
    made = prepare.run(topograph(**faults), found.steps)
    again = prepare.suggest(made)
    assert not again.needed
    assert not {"level", "align_rows"} & set(names(again))


def test_reasons_name_amounts_with_units() -> None:
    found = prepare.suggest(topograph(tilt=0.5, step=0.24, glitches=12))
    text = str(found)
    assert "2 terraces" in text
    assert " nm" in text
    assert "bad pixels" in text
    by_name = dict(zip(names(found), found.reasons, strict=True))
    assert "0.24 nm" in by_name["mask_steps"] or "0.25 nm" in by_name["mask_steps"]


@pytest.mark.parametrize("turn", [0.0, 20.0])
def test_atoms_call_for_drift_correction_and_keep_rows_along_the_scan(turn) -> None:
    down, right = (axis.astype(float) for axis in np.indices(SHAPE))
    angle = np.deg2rad(turn)
    along, across = (
        np.cos(angle) * right + np.sin(angle) * down,
        np.cos(angle) * down - np.sin(angle) * right,
    )
    atoms = 0.02 * (np.cos(2 * np.pi * along / 7.0) + np.cos(2 * np.pi * across / 7.0))
    random = np.random.default_rng(0)
    image = atoms + 0.01 * random.normal(size=SHAPE) + 0.02 * random.normal(size=(SHAPE[0], 1))
    found = prepare.suggest(image)
    assert names(found)[-1] == "correct_drift"
    assert "(square)" in found.reasons[-1]
    assert ("align_rows" in names(found)) == (turn > 0)


@pytest.mark.parametrize("angle", [5.0, 30.0])
def test_regular_steps_of_a_topograph_are_no_pickup(angle) -> None:
    down, right = np.indices((160, 160))
    turn = np.deg2rad(angle)
    across = down * np.cos(turn) - right * np.sin(turn)
    image = 0.236 * np.floor(across / 40) + np.random.default_rng(0).normal(
        scale=0.002, size=(160, 160)
    )
    raw = xr.DataArray(image, dims=("y", "x"), attrs={"units": "nm", "quantity": "topography"})
    assert "remove_pickup" not in names(prepare.suggest(raw))


def test_defects_that_touch_are_no_step() -> None:
    down, right = np.indices(SHAPE)
    image = np.random.default_rng(0).normal(scale=0.05, size=SHAPE)
    for row, column in ((3, 10), (3, 20), (60, 40), (66, 48), (90, 100)):
        r = np.hypot(down - row, right - column)
        image += (1 - 0.5 * r) * np.exp(-((r / 3) ** 2))
    assert "mask_steps" not in names(prepare.suggest(image))


def test_spectroscopic_maps_lose_a_constant_and_no_rows() -> None:
    cube = np.random.default_rng(0).normal(size=(4, 32, 40))
    image = xr.DataArray(cube, dims=("bias", "y", "x"), attrs={"units": "S", "quantity": "didv"})
    found = prepare.suggest(image)
    assert names(found) == ["level"]
    assert found.steps[-1].order == 0
    assert not found.needed


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("createc_step_defects_100nm.dat", {"mask_steps", "align_rows", "mask_streaks"}),
        ("createc_friedel_rings_60nm.dat", {"align_rows", "mask_streaks"}),
        ("rhk_topo_ABC_graphite.sm4", {"level"}),
    ],
)
def test_real_topographs(sample, file, wanted) -> None:
    scan = qk.open_scan(sample(file))
    found = prepare.suggest(scan["topography_forward"])
    assert wanted <= set(names(found))
    assert found.needed


def test_a_masked_lattice_is_not_corrected_and_what_is_suggested_runs() -> None:
    down, right = np.indices(SHAPE)
    image = np.random.default_rng(0).normal(scale=0.01, size=SHAPE)
    atoms = np.cos(2 * np.pi * right / 6.3) + np.cos(2 * np.pi * down / 6.3)
    masked = right < 64
    image[masked] += 0.2 * atoms[masked]
    assert "correct_drift" in names(prepare.suggest(image))
    found = prepare.suggest(image, mask=~masked)
    assert "correct_drift" not in names(found)


def test_drift_correction_that_fails_is_not_suggested() -> None:
    down, right = np.indices(SHAPE)
    atoms = np.cos(2 * np.pi * right / 7.0) + np.cos(2 * np.pi * down / 7.0)
    image = atoms + np.random.default_rng(0).normal(scale=0.1, size=SHAPE)
    marks = np.argwhere((down % 5 == 0) & (right % 5 == 0))
    assert "correct_drift" not in names(prepare.suggest(image, defects=marks))
