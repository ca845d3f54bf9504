"""The levelling steps together: no hidden scale, no trace of what a plane added."""

import dask.array
import numpy as np
import pytest
import xarray as xr

from qpi_kernels import prepare
from shared.surfaces import stepped

CHAIN = [
    prepare.AlignRows(),
    prepare.MaskStreaks(),
    prepare.MaskPixels(),
    prepare.MaskSteps(),
    prepare.Level(),
]
HARD = {"offsets": 0.03, "adsorbates": 8, "rings": 3, "atoms": 0.01, "tilt": (0.002, -0.003)}


@pytest.mark.parametrize("step", CHAIN, ids=lambda step: step.name())
@pytest.mark.parametrize("factor", [1e-9, -250.0])
def test_a_step_commutes_with_a_change_of_units(step, factor):
    surface = stepped(35, seed=3, **HARD)
    plain = prepare.run(surface.image, [step])
    scaled = prepare.run(surface.image * factor, [step])
    np.testing.assert_array_equal(scaled.mask, plain.mask)
    np.testing.assert_allclose(scaled.image / factor, plain.image, atol=1e-9)


@pytest.mark.parametrize("angle", [0, 35])
def test_a_plane_or_constant_in_the_raw_image_changes_nothing(angle):
    surface = stepped(angle, seed=3, **HARD)
    rows, columns = np.indices(surface.image.shape)
    plain = prepare.run(surface.image, CHAIN)
    made = prepare.run(surface.image - 120.0 + 0.01 * rows + 0.004 * columns, CHAIN)
    assert (made.mask != plain.mask).mean() < 0.001
    both = made.mask & plain.mask
    np.testing.assert_allclose(made.image.values[both], plain.image.values[both], atol=2e-4)


def test_heights_of_three_terraces_survive_the_chain():
    one, two = stepped(25, seed=1, **HARD), stepped(25, noise=0.0)
    beyond = np.roll(two.image, 45, axis=0)
    beyond[:45] = 0.0
    made = prepare.run(one.image + beyond, CHAIN)
    levels = np.sort(made.report["level"]["terrace_levels"][:3])
    assert np.diff(levels) == pytest.approx([0.25, 0.25], rel=0.03)


def test_lazy_cubes_stay_lazy_and_are_repeated_bit_for_bit():
    surface = stepped(40, offsets=0.02, height=0.1)
    cube = surface.image + np.random.default_rng(1).normal(0, 0.01, (3, *surface.image.shape))
    lazy = xr.DataArray(dask.array.from_array(cube, chunks=(1, 80, 160)), dims=("bias", "y", "x"))
    made = prepare.run(lazy, CHAIN)
    assert isinstance(made.image.data, dask.array.Array)
    again = prepare.replay(cube, made.history)
    np.testing.assert_array_equal(again.image.values, made.image.values)
    np.testing.assert_array_equal(again.mask, made.mask)


@pytest.mark.parametrize("step", CHAIN, ids=lambda step: step.name())
@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1, 1)),
        np.zeros((3, 40)),
        np.ones((40, 40)),
        np.add.outer(np.arange(40.0), np.arange(50.0)),
        np.where(np.arange(1600).reshape(40, 40) == 777, 1.0, np.nan),
    ],
    ids=["pixel", "three rows", "constant", "plane", "one measured"],
)
def test_images_with_nothing_to_find_are_left_as_they_are(step, image):
    made = prepare.run(image, [step])
    assert made.mask.all()
    np.testing.assert_array_equal(np.isnan(made.image), np.isnan(image))
