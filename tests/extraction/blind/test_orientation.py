"""A turned or flipped map is searched as the map itself is."""

import numpy as np
import pytest
import xarray as xr

from qpi_kernels.extraction.blind.orientation import Orientation
from shared.blind_maps import blind, observe, problem_of, rings
from shared.friedel_maps import scattered

IMAGE = observe(rings(), scattered(seed=2))[:, :60]


def turned(image, quarters, flipped):
    return np.rot90(image[:, ::-1] if flipped else image, quarters).copy()


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("flipped", [False, True])
def test_every_orientation_becomes_the_same_map(quarters, flipped):
    problem = problem_of(turned(IMAGE, quarters, flipped))
    orientation = Orientation.standard(problem)
    standard = orientation.turn_problem(problem).observation.values
    first = problem_of(IMAGE)
    expected = Orientation.standard(first).turn_problem(first).observation.values
    np.testing.assert_array_equal(standard, expected)
    # A bright pixel goes there and back.
    image = problem.observation.values
    marked = np.zeros_like(image)
    marked[7, 11] = 1.0
    there = np.argwhere(orientation.turn(marked) == 1.0).astype(float)
    np.testing.assert_array_equal(orientation.positions_before(there, image.shape), [[7, 11]])


def test_rows_of_a_transposed_map_are_its_scan_lines():
    problem = problem_of(IMAGE, background="rows")
    transposed = Orientation(transposed=True).turn_problem(problem)
    shape = transposed.image_shape
    lines = np.broadcast_to(np.arange(shape[1]), shape)
    np.testing.assert_array_equal(transposed.labels.lines, lines)


def test_a_turned_and_flipped_map_gives_the_same_defects():
    here = blind(IMAGE, kinds=1).defects
    there = blind(turned(IMAGE, 1, True), kinds=1).defects
    assert len(here) == len(there)
    # Flipping columns and turning a quarter to the left exchanges rows and columns.
    np.testing.assert_allclose(there.positions, here.positions[:, ::-1], atol=1e-6)
    np.testing.assert_array_equal(there.probability, here.probability)


def test_a_rescaled_map_gives_the_same_defects():
    here, there = (blind(image, kinds=1).defects for image in (IMAGE, 2e-3 * IMAGE + 5.0))
    assert len(here) == len(there)
    np.testing.assert_allclose(there.positions, here.positions, atol=0.05)


def test_cubes_and_labels_are_turned_as_their_planes():
    cube = xr.DataArray(np.stack([IMAGE, -IMAGE]), dims=("bias", "y", "x"))
    problem = problem_of(cube.values)
    orientation = Orientation(transposed=True, flipped=(True, False))
    moved = orientation.turn_problem(problem)
    assert moved.observation.dims == ("bias", "y", "x")
    np.testing.assert_array_equal(moved.observation[1], IMAGE.T[::-1] * -1)
