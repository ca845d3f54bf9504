"""Steps at every angle are masked and terraces labelled; adsorbates and rings are not steps."""

import time

import numpy as np
import pytest
import xarray as xr

from qpi_kernels import open_scan, prepare
from shared.surfaces import stepped

HARD = {"offsets": 0.03, "adsorbates": 10, "rings": 4, "atoms": 0.015, "tilt": (0.003, -0.004)}


def assert_found(surface, made, recall=0.95, rest=0.05):
    margin = made.report["mask_steps"]["margin_px"]
    away = np.abs(surface.distance)
    line, far = away < 0.75, away > margin + 3
    assert (~made.mask)[line].mean() > recall
    assert (~made.mask)[far].mean() < rest


@pytest.mark.parametrize("angle", [0, 0.5, 5, 30, 90, 120, 176])
@pytest.mark.parametrize("disturbed", [{}, HARD, {"width": 0.05}, {"noise": 0.04, "offsets": 0.02}])
def test_steps_at_any_angle_are_masked_and_little_else(angle, disturbed):
    surface = stepped(angle, shape=(192, 192), seed=11, **disturbed)
    made = prepare.run(surface.image, [prepare.MaskSteps()])
    assert_found(surface, made)
    terraces = made.report["mask_steps"]["terraces"]
    assert terraces.shape == surface.image.shape
    assert (terraces[~made.mask] == 0).all()
    upper, lower = (
        np.bincount(terraces[side & (terraces > 0)]).argmax()
        for side in (surface.distance > 15, surface.distance < -15)
    )
    assert upper != lower
    np.testing.assert_array_equal(made.image, surface.image)


@pytest.mark.parametrize("seed", range(3))
def test_adsorbates_rings_and_row_artefacts_are_no_steps(seed):
    surface = stepped(0, height=0.0, adsorbates=20, rings=8, offsets=0.03, atoms=0.01, seed=seed)
    image = surface.image.copy()
    image[70:72] += 0.3  # goes and comes back
    made = prepare.run(image, [prepare.MaskSteps()])
    assert made.mask.all()
    assert made.report["mask_steps"]["terrace_count"] == 1


@pytest.mark.parametrize("shape", [(120, 300), (301, 150)])
def test_images_that_are_not_square_and_wide_steps(shape):
    surface = stepped(50, shape=shape, width=4.0, offsets=0.02)
    assert_found(surface, prepare.run(surface.image, [prepare.MaskSteps()]))


def test_heights_of_terraces_are_reported():
    surface = stepped(45, shape=(192, 192), **HARD)
    found = prepare.run(surface.image, [prepare.MaskSteps()]).report["mask_steps"]
    levels = found["terrace_levels"][:2]
    assert abs(levels[1] - levels[0]) == pytest.approx(0.25, rel=0.03)


def test_the_margin_is_in_nm_where_the_pitch_is_known():
    surface = stepped(90)
    coords = {name: (name, np.arange(160) * 0.2, {"units": "nm"}) for name in ("y", "x")}
    image = xr.DataArray(surface.image, dims=("y", "x"), coords=coords, attrs={"units": "nm"})
    made = prepare.run(image, [prepare.MaskSteps(margin=3.0)])
    assert made.report["mask_steps"]["margin_px"] == pytest.approx(15.0)
    assert not made.mask[np.abs(surface.distance) < 13].any()
    assert made.mask[np.abs(surface.distance) > 19].all()
    assert "terrace_levels_nm" in made.report["mask_steps"]
    with pytest.raises(prepare.PreparationError, match="take a smaller one"):
        prepare.run(image, [prepare.MaskSteps(margin=100.0)])


def test_missing_rows_make_no_step_and_units_do_not_matter():
    surface = stepped(60, offsets=0.02, adsorbates=5)
    image = surface.image.copy()
    image[120:] = np.nan
    made = prepare.run(image, [prepare.MaskSteps()])
    assert_found(surface, prepare.run(surface.image, [prepare.MaskSteps()]))
    assert (~made.mask)[:110][np.abs(surface.distance)[:110] > 8].mean() < 0.01
    scaled = prepare.run(image * -4e-11, [prepare.MaskSteps()])
    np.testing.assert_array_equal(scaled.mask, made.mask)


REAL = [
    ("createc_step_defects_100nm.dat", 2, 0.247),
    ("createc_aborted_20nm.dat", 2, 0.2),
    ("omicron/20201111--4_1.Z_mtrx", 4, None),
    ("rhk_topo_ABC_graphite.sm4", 1, None),
    ("nanonis_moire_10nm.sxm", 1, None),
]


@pytest.mark.parametrize(("name", "terraces", "height"), REAL)
def test_real_terraces_are_told_apart(sample, name, terraces, height):
    if name.startswith("omicron"):
        sample("omicron/20201111_0001.mtrx")
    raw = open_scan(sample(name))["topography_forward"]
    started = time.process_time()
    made = prepare.run(raw, [prepare.MaskSteps()])
    assert time.process_time() - started < 2.0
    found = made.report["mask_steps"]
    assert found["terrace_count"] == terraces
    if height is not None:
        assert abs(found["terrace_levels_nm"][1]) == pytest.approx(height, rel=0.03)


def test_rings_of_a_real_scan_are_no_steps(sample):
    raw = open_scan(sample("createc_friedel_rings_60nm.dat"))["topography_forward"]
    made = prepare.run(raw, [prepare.AlignRows(), prepare.MaskStreaks(), prepare.MaskSteps()])
    assert made.mask[115:425].mean() > 0.99


def test_the_margin_is_as_wide_in_nm_along_rows_as_along_columns():
    sides = {"y": 2.0, "x": 0.5}
    widths = []
    for angle, axis in ((90, 1), (0, 0)):
        surface = stepped(angle)
        coords = {k: (k, np.arange(160) * side, {"units": "nm"}) for k, side in sides.items()}
        image = xr.DataArray(surface.image, dims=("y", "x"), coords=coords, attrs={"units": "nm"})
        made = prepare.run(image, [prepare.MaskSteps(margin=16.0, length=20.0)])
        masked = (~made.mask).sum(axis=axis)
        widths.append(np.median(masked[masked > 0]) * (0.5, 2.0)[axis == 0])
    # On both sides of edges of one to four pixels.
    assert widths == pytest.approx([32.0, 32.0], abs=8.0)


def test_a_terrace_without_a_measured_pixel_has_no_level():
    surface = stepped(90, noise=0.01)
    image = surface.image.copy()
    image[:, :60] = np.nan
    found = prepare.run(image, [prepare.MaskSteps()]).report["mask_steps"]
    assert np.isfinite(found["terrace_levels"]).all()
    split = np.ones(image.shape, bool)
    split[:, 60:64] = False
    found = prepare.run(image, [prepare.MaskSteps()], mask=split).report["mask_steps"]
    assert np.isfinite(found["terrace_levels"]).all()
