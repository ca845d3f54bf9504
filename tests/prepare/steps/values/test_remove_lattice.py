"""Removing the lattice."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from qpi_kernels import prepare
from shared.drifted_lattices import bragg, drifted, regular

SHAPE = (190, 201)
GRID = np.indices(SHAPE, float)


def standing_waves(wave, seed=0):
    """Return standing waves about 25 defects in noise, of standard deviation 1."""
    rng = np.random.default_rng(seed)
    total = np.zeros(SHAPE)
    for row, column in rng.uniform(0, 190, (25, 2)):
        away = np.hypot(GRID[0] - row, GRID[1] - column)
        total += np.cos(wave * away + 1) * np.exp(-away / 40) / np.sqrt(1 + away / 3)
    return total / total.std() + 0.2 * rng.normal(size=SHAPE)


def atoms(waves):
    """Return sharp atoms, which have harmonics, of standard deviation 1."""
    tops = np.exp(1.5 * regular(GRID, waves) / len(waves))
    return (tops - tops.mean()) / tops.std()


def removed(image, **options):
    given = {name: options.pop(name) for name in ("mask", "channels") if name in options}
    made = prepare.run(image, [prepare.RemoveLattice(**options)], **given)
    return made, made.report["remove_lattice"]


def left_of(made, rest, where=None):
    error = (made.image.values - rest)[where if where is not None else ...]
    return float(np.std(error))


@pytest.mark.parametrize("method", ["waves", "cell"])
@pytest.mark.parametrize("symmetry", ["square", "hexagonal"])
def test_the_atoms_go_and_the_standing_waves_stay(method, symmetry) -> None:
    waves = bragg(symmetry, 9.3, 13.0)
    rest = standing_waves(0.35)
    made, report = removed(rest + 3 * atoms(waves), method=method)
    assert left_of(made, rest) < 0.2
    assert report["symmetry"] == symmetry
    assert report["bragg_rad_per_px"].shape == (len(waves), 2)
    assert report["left_share"] < 0.05
    assert "warning" not in report


@pytest.mark.parametrize("method", ["waves", "cell"])
def test_nothing_but_a_lattice_leaves_nothing(method) -> None:
    waves = bragg("square", 6.7, 30.0)
    made, report = removed(5.0 + 1e-10 * regular(GRID, waves), method=method, harmonics=1)
    assert np.ptp(made.image.values) < 0.01e-10 * 4
    np.testing.assert_allclose(report["amplitude"], 1e-10, rtol=2e-3)
    assert made.image.values.mean() == pytest.approx(5.0)


def test_a_ring_at_the_bragg_peaks_is_told() -> None:
    waves = bragg("square", 9.3, 13.0)
    length = np.linalg.norm(waves[0])
    _, report = removed(standing_waves(length) + 2 * atoms(waves))
    assert "ring of standing waves" in report["warning"]
    _, report = removed(standing_waves(0.6 * length) + 2 * atoms(waves))
    assert "warning" not in report


def test_a_lattice_with_drift_is_told_and_goes_after_its_correction() -> None:
    raw, _ = drifted(SHAPE, bragg("hexagonal", 7.0, 13.0))
    _, before = removed(raw)
    assert "correct drift before" in before["warning"]
    made = prepare.run(raw, [prepare.CorrectDrift(), prepare.RemoveLattice()])
    assert "warning" not in made.report["remove_lattice"]
    inner = made.image.values[15:-15, 15:-15]
    assert np.nanstd(inner) < 0.1 * raw.std()


def test_masked_pixels_do_not_count_and_every_bias_has_its_own_amplitude() -> None:
    waves = bragg("square", 8.0, 21.0)
    rest = standing_waves(0.35)
    mask = np.ones(SHAPE, bool)
    mask[50:70, 50:100] = False
    planes = np.stack([rest + atoms(waves), rest - 3 * atoms(waves), rest])
    planes[:, ~mask] += 50.0
    planes[1, 170:] = np.nan
    cube = xr.DataArray(da.from_array(planes, chunks=(1, 95, 100)), dims=("bias", "y", "x"))
    topograph = atoms(waves) + 0.1 * rest
    made, report = removed(cube, mask=mask, channels={"topography": topograph})
    assert hasattr(made.image.data, "dask")
    values = made.image.values
    assert np.isnan(values[1, 170:]).all()
    for plane in values:
        counted = mask & np.isfinite(plane)
        assert np.std((plane - rest)[counted]) < 0.2
    np.testing.assert_array_equal(made.mask, mask)
    again = prepare.replay(cube, made.history, mask=mask, channels={"topography": topograph})
    assert again.image.identical(made.image)
    assert again.report["remove_lattice"].keys() == report.keys()


def test_the_topograph_tells_a_lattice_that_the_image_hides() -> None:
    waves = bragg("hexagonal", 8.0, 21.0)
    rest = standing_waves(0.35)
    image = rest + 0.01 * regular(GRID, waves)
    with pytest.raises(prepare.PreparationError, match="not resolved"):
        removed(image)
    _, report = removed(image, channels={"topography": regular(GRID, waves)})
    found = report["bragg_rad_per_px"]
    both = np.concatenate([waves, -waves])
    for wave in found:
        assert np.linalg.norm(both - wave, axis=1).min() < 0.02
    _, given = removed(image, bragg_peaks=tuple(map(tuple, waves.tolist())))
    assert given["amplitude"].shape == (3,)


def test_bragg_vectors_at_the_nyquist_frequency_are_refused() -> None:
    rows, columns = np.indices((32, 32))
    image = (-1.0) ** rows + (-1.0) ** columns
    with pytest.raises(prepare.PreparationError, match="at pi/px"):
        removed(image, bragg_peaks=((np.pi, 0.0), (0.0, np.pi)))
