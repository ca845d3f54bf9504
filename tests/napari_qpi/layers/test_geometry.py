"""Where layers lie: in the world of the microscope, and over each other."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.layers import Image, Points

from napari_qpi.layers.geometry import (
    layer_geometry,
    layer_pitch,
    moved_columns,
    pixel_to_pixel,
    scan_geometry,
    unit_factor,
)


def scan(shape: tuple[int, ...], pitch: tuple[float, float] = (0.5, 0.25)) -> xr.DataArray:
    dims = ("bias", "y", "x")[3 - len(shape) :]
    coords = {
        axis: (axis, np.arange(size) * step, {"units": "nm"})
        for axis, size, step in zip(("y", "x"), shape[-2:], pitch, strict=True)
    }
    if len(shape) == 3:
        coords["bias"] = ("bias", np.linspace(-0.1, 0.3, shape[0]), {"units": "V"})
    return xr.DataArray(np.zeros(shape, np.float32), dims=dims, coords=coords)


@settings(deadline=None, max_examples=25)
@given(
    st.floats(-360, 360),
    st.floats(-500, 500),
    st.floats(-500, 500),
    st.sampled_from([(6, 9), (3, 6, 9)]),
)
def test_a_scan_frame_lies_where_the_microscope_had_it(
    angle: float, offset_x: float, offset_y: float, shape: tuple[int, ...]
) -> None:
    geometry = scan_geometry(scan(shape), (offset_x, offset_y), angle)
    layer = Image(np.zeros(shape), **geometry)
    rows, cols = shape[-2:]
    first = (1.0,) * (len(shape) - 2)

    centre = layer.data_to_world((*first, (rows - 1) / 2, (cols - 1) / 2))
    np.testing.assert_allclose(centre[-2:], (-offset_y, offset_x), atol=1e-9)

    # Clockwise on the screen: the upper right corner of a frame turned by 90 degrees is below.
    half_height, half_width = 0.5 * (rows - 1) / 2, 0.25 * (cols - 1) / 2
    turn = np.deg2rad(angle)
    right, up = half_width, half_height
    expected_x = offset_x + right * np.cos(turn) + up * np.sin(turn)
    expected_y = offset_y + up * np.cos(turn) - right * np.sin(turn)
    corner = layer.data_to_world((*first, 0, cols - 1))
    np.testing.assert_allclose(corner[-2:], (-expected_y, expected_x), atol=1e-9)


def test_a_stack_has_its_biases_on_the_first_axis() -> None:
    layer = Image(np.zeros((5, 6, 9)), **scan_geometry(scan((5, 6, 9)), (10, 20), 30))
    assert [str(unit) for unit in layer.units] == ["volt", "nanometer", "nanometer"]
    assert layer.axis_labels == ("bias", "y", "x")
    assert layer.data_to_world((4, 0, 0))[0] == pytest.approx(0.3)


def test_a_scan_of_unknown_pitch_counts_pixels() -> None:
    array = xr.DataArray(np.zeros((4, 5)), dims=("y", "x"))
    geometry = scan_geometry(array, (100.0, 100.0), 45.0)
    assert geometry["scale"] == [1.0, 1.0]
    assert geometry["units"] == ["pixel", "pixel"]
    assert geometry["translate"] == [0.0, 0.0]


def crooked_image(ndim: int = 2) -> Image:
    if ndim == 3:
        plane = layer_geometry(crooked_image())
        rotate, affine = np.eye(3), np.eye(4)
        rotate[1:, 1:], affine[1:, 1:] = plane["rotate"], plane["affine"]
        return Image(
            np.zeros((3, 6, 9)),
            scale=[0.1, *plane["scale"]],
            translate=[-0.2, *plane["translate"]],
            rotate=rotate,
            shear=[0, 0, 0.2],
            affine=affine,
            units=["V", "nm", "nm"],
            axis_labels=["bias", "y", "x"],
        )
    return Image(
        np.zeros((6, 9)),
        scale=(0.5, 0.25),
        translate=(10, -3),
        rotate=25,
        shear=[0.2],
        affine=[[1.1, 0.1, 2], [0, 0.9, 1], [0, 0, 1]],
        units=("nm", "nm"),
        axis_labels=("y", "x"),
    )


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_copied_geometry_puts_a_layer_exactly_over_its_source(ndim: int) -> None:
    image = crooked_image(ndim)
    copy = Image(np.zeros(image.data.shape), **layer_geometry(image))
    plane = Points(np.zeros((1, 2)), **layer_geometry(image, ndim=2))
    for position in ((0, 0), (5, 8), (2.5, 3.25)):
        whole = (1,) * (ndim - 2) + position
        np.testing.assert_allclose(copy.data_to_world(whole), image.data_to_world(whole))
        np.testing.assert_allclose(
            plane.data_to_world(position), image.data_to_world(whole)[-2:], atol=1e-12
        )
    assert copy.units == image.units
    assert plane.units == image.units[-2:]
    assert plane.axis_labels == ("y", "x")


def test_more_axes_than_a_layer_has_are_refused() -> None:
    with pytest.raises(ValueError, match="has 2 axes, 3 were asked for"):
        layer_geometry(crooked_image(), ndim=3)


def test_moved_columns_go_along_the_image_s_own_rows() -> None:
    image = crooked_image()
    beside = Image(np.zeros((2, 2)), **moved_columns(layer_geometry(image), columns=12, rows=3))
    np.testing.assert_allclose(beside.data_to_world((0, 0)), image.data_to_world((3, 12)))


def test_positions_are_carried_between_layers_of_different_units() -> None:
    image = Image(np.zeros((8, 8)), scale=(0.5, 0.5), translate=(3, 4), units=("nm", "nm"))
    points = Points([[45.0, 60.0]], units=("angstrom", "angstrom"))
    np.testing.assert_allclose(pixel_to_pixel(points.data, points, image), [[3.0, 4.0]])


@pytest.mark.parametrize(("unit", "factor"), [("angstrom", 0.1), ("um", 1e3), ("m", 1e9)])
def test_a_pitch_comes_in_nanometres(unit: str, factor: float) -> None:
    image = Image(np.zeros((4, 4)), scale=(2.0, 3.0), rotate=40, units=(unit, unit))
    pitch, length_unit = layer_pitch(image)
    assert pitch == pytest.approx((2 * factor, 3 * factor))
    assert length_unit == "nm"


def test_a_pitch_in_pixels_is_one() -> None:
    assert layer_pitch(Image(np.zeros((4, 4)), scale=(2, 3))) == ((1.0, 1.0), "pixel")


def test_units_of_another_kind_have_no_factor() -> None:
    assert unit_factor("mV", "V") == pytest.approx(1e-3)
    assert unit_factor("pixel", "nm") is None
    assert unit_factor("nm", "V") is None
