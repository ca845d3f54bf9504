"""Finding Bragg peaks among other peaks."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from qpi_kernels import prepare
from shared.drifted_lattices import bragg, drifted, regular

SHAPE = (160, 171)
ROWS, COLUMNS = np.indices(SHAPE, float)


def rings(number, wave=0.5, seed=0):
    """Return standing waves about point defects."""
    total = np.zeros(SHAPE)
    for row, column in np.random.default_rng(seed).uniform(0, 160, (number, 2)):
        away = np.hypot(ROWS - row, COLUMNS - column)
        total += np.cos(wave * away + 1) * np.exp(-away / 40) / np.sqrt(1 + away / 3)
    return total


def matched(found, waves):
    """Return the largest distance in px⁻¹ of a found peak from the nearest true one."""
    both = np.concatenate([waves, -waves])
    return max(np.linalg.norm(both - peak, axis=1).min() for peak in found)


@pytest.mark.parametrize("symmetry", ["square", "hexagonal"])
@pytest.mark.parametrize("disturbance", ["noise", "rows", "steps", "rings", "tone", "harmonics"])
def test_the_lattice_is_found_among_other_structure(symmetry, disturbance) -> None:
    waves = bragg(symmetry, 7.3, 14.0)
    clean = regular(np.stack([ROWS, COLUMNS]), waves)
    noise = np.random.default_rng(3).normal(size=SHAPE)
    added = {
        "noise": noise,
        "rows": 5 * np.random.default_rng(4).normal(size=(SHAPE[0], 1)),
        "steps": 20.0 * (COLUMNS + 0.3 * ROWS > 90) + 10.0 * (ROWS > 100.0),
        "rings": 3 * rings(30),
        "tone": 3 * np.cos(0.63 * COLUMNS + 0.21 * ROWS),
        "harmonics": 0.7 * regular(2 * np.stack([ROWS, COLUMNS]), waves),
    }[disturbance]
    found = prepare.find_bragg_peaks(clean + added + 0.1 * noise)
    assert found.symmetry == symmetry
    # A streak of the steps hides one of the three pairs.
    assert len(found.vectors) == len(waves) - (disturbance == "steps" and symmetry != "square")
    assert matched(found.vectors_px, waves) < 0.2 * 2 * np.pi / SHAPE[0]
    assert found.constant == pytest.approx(7.3, rel=0.01)
    assert (found.prominence > 5).all()
    assert found.unit == "px"


@pytest.mark.parametrize("structure", ["noise", "rows", "steps", "rings", "few rings", "tones"])
def test_other_structure_is_no_lattice(structure) -> None:
    rng = np.random.default_rng(5)
    noise = rng.normal(size=SHAPE)
    image = {
        "noise": noise,
        "rows": noise + 5 * rng.normal(size=(SHAPE[0], 1)),
        "steps": noise + 50.0 * (COLUMNS + 0.3 * ROWS > 90) + 20.0 * (ROWS > 100),
        "rings": 0.1 * noise + rings(40),
        "few rings": 0.01 * noise + rings(3),
        "tones": noise + 2 * np.cos(0.63 * COLUMNS + 0.2 * ROWS) + np.cos(1.26 * COLUMNS - ROWS),
    }[structure]
    with pytest.raises(prepare.PreparationError, match="not resolved"):
        prepare.find_bragg_peaks(image)


def test_vectors_are_in_nm_and_the_constant_tells_a_lattice_from_a_moire() -> None:
    atoms, moire = bragg("hexagonal", 6.0, 3.0), bragg("hexagonal", 31.0, 20.0)
    grid = np.stack([ROWS, COLUMNS])
    values = 0.5 * regular(grid, atoms) + 2 * regular(grid, moire)
    noise = 0.1 * np.random.default_rng(0).normal(size=SHAPE)
    image = xr.DataArray(
        values + noise,
        dims=("y", "x"),
        coords={
            "y": ("y", 0.05 * np.arange(SHAPE[0]), {"units": "nm"}),
            "x": ("x", 0.05 * np.arange(SHAPE[1]), {"units": "nm"}),
        },
    )
    found = prepare.find_bragg_peaks(image)
    assert found.unit == "nm"
    assert found.constant == pytest.approx(0.3, rel=0.01)
    np.testing.assert_allclose(found.vectors, found.vectors_px / 0.05)
    wide = prepare.find_bragg_peaks(image, lattice_constant=1.55)
    assert wide.constant == pytest.approx(1.55, rel=0.02)


def test_a_masked_terrace_and_a_cube_are_searched() -> None:
    waves = bragg("square", 6.6, 8.0)
    raw, _ = drifted(SHAPE, waves, snr=2.0, size=0.0, shear=0.0)
    mask = np.ones(SHAPE, bool)
    mask[:, 70:90] = False
    raw[~mask] = 1e3
    raw[150:] = np.nan
    found = prepare.find_bragg_peaks(np.stack([raw, raw]), mask=mask)
    assert found.symmetry == "square"
    assert matched(found.vectors_px, waves) < 0.03
    with pytest.raises(prepare.PreparationError, match="too few"):
        prepare.find_bragg_peaks(np.zeros((8, 8)))
