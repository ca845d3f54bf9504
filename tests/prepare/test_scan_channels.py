"""The channels beside an image."""

import numpy as np
import pytest

from qpi_kernels import prepare
from qpi_kernels.io.scan import Channel, scan_dataset


@pytest.fixture
def grid():
    cube = np.random.default_rng(0).normal(size=(4, 6, 5))
    channels = [
        Channel("LI X", cube, "S", "didv", "forward"),
        Channel("LI X", cube + 1, "S", "didv", "backward"),
        Channel("Z", cube[0], "nm", "topography", "forward"),
        Channel("Z", cube[1], "nm", "topography", "backward"),
        Channel("Current", cube, "A", "current", "forward"),
    ]
    return scan_dataset(
        channels, source="a.3ds", format="x", pixel_nm=(0.1, 0.1), bias=np.linspace(-1, 1, 4)
    )


def test_topography_current_and_the_way_back_are_found(grid) -> None:
    found = prepare.channels_beside(grid, grid["didv_forward"])
    assert {name: channel.name for name, channel in found.items()} == {
        "topography": "topography_forward",
        "topography_retrace": "topography_backward",
        "current": "current_forward",
        "retrace": "didv_backward",
    }
    backward = prepare.channels_beside(grid, grid["didv_backward"])
    assert backward["topography"].name == "topography_backward"
    assert backward["current"].name == "current_forward"


def test_planes_follow_the_image(grid) -> None:
    some = grid["didv_forward"].isel(bias=[0, 2])
    found = prepare.channels_beside(grid, some)
    assert found["current"].bias.values.tolist() == some.bias.values.tolist()
    one = prepare.channels_beside(grid, grid["didv_forward"][1])
    assert one["current"].dims == ("y", "x")
    carried = prepare.run(grid["didv_forward"][1], [], channels=one).channels
    assert carried.keys() == one.keys()
    assert all(carried[name].identical(one[name]) for name in one)


def test_a_topograph_of_one_direction_is_no_pair(grid) -> None:
    one_way = grid.drop_vars("topography_backward")
    for image in ("didv_forward", "didv_backward"):
        found = prepare.channels_beside(one_way, one_way[image])
        assert found["topography"].name == "topography_forward"
        assert "topography_retrace" not in found


def test_a_sweep_there_and_back_keeps_its_planes(grid) -> None:
    sweep = grid.assign_coords(bias=[0.0, 0.1, 0.1, 0.0])
    whole = prepare.channels_beside(sweep, sweep["didv_forward"])
    np.testing.assert_array_equal(whole["current"].values, sweep["current_forward"].values)
    some = prepare.channels_beside(sweep, sweep["didv_forward"].isel(bias=[1, 3]))
    assert some["current"].bias.values.tolist() == [0.1, 0.0]
    assert prepare.channels_beside(sweep, sweep["didv_forward"][2])["current"].dims == ("y", "x")
