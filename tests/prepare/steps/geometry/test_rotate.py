"""Turning an image."""

import numpy as np
import pytest
import xarray as xr

from qpi_kernels import prepare
from qpi_kernels.prepare.geometry.frame import pitch


def image(shape=(21, 30), pitch=(0.2, 0.2), **attrs):
    return xr.DataArray(
        np.random.default_rng(0).normal(size=shape),
        dims=("y", "x"),
        coords={
            name: (name, np.arange(size) * step, {"units": "nm"})
            for name, size, step in zip(("y", "x"), shape, pitch, strict=True)
        },
        attrs=attrs,
    )


@pytest.mark.parametrize("pitch", [(0.2, 0.2), (0.3, 0.2)])
def test_four_quarter_turns_are_the_identity(pitch) -> None:
    raw = image(pitch=pitch, offset_nm=(5.0, 6.0), scan_angle_deg=10.0)
    mask = np.random.default_rng(1).random((21, 30)) > 0.2
    made = prepare.run(raw, [prepare.Rotate()] * 4, mask=mask, defects=[(3.0, 8.5)])
    np.testing.assert_array_equal(made.image.values, raw.values)
    np.testing.assert_array_equal(made.mask, mask)
    np.testing.assert_allclose(made.defects.positions, [(3.0, 8.5)], atol=1e-9)
    np.testing.assert_allclose(made.image.y, raw.y, atol=1e-12)
    np.testing.assert_allclose(made.image.x, raw.x, atol=1e-12)
    assert made.image.attrs["scan_angle_deg"] == pytest.approx(10.0)
    np.testing.assert_allclose(made.image.attrs["offset_nm"], (5.0, 6.0), atol=1e-12)
    assert list(made.report) == ["rotate", "rotate_2", "rotate_3", "rotate_4"]


def test_a_quarter_turn_goes_anticlockwise_and_keeps_the_pitch() -> None:
    raw = image(pitch=(0.3, 0.2))
    made = prepare.run(raw, [prepare.Rotate(angle_deg=90)])
    np.testing.assert_array_equal(made.image.values, np.rot90(raw.values))
    assert float(made.image.y[1] - made.image.y[0]) == pytest.approx(0.2)
    assert float(made.image.x[1] - made.image.x[0]) == pytest.approx(0.3)


@pytest.mark.parametrize("angle", [-33.0, 12.5, 180.0, 250.0])
@pytest.mark.parametrize("canvas", ["whole", "same"])
def test_a_point_keeps_its_place_in_nm_and_its_spot_on_the_image(angle, canvas) -> None:
    rows, columns = np.indices((41, 60))
    spot = (14.0, 36.0)
    raw = image((41, 60), pitch=(0.3, 0.2), offset_nm=(-4.0, 12.0), scan_angle_deg=20.0)
    raw = raw.copy(
        data=np.exp(-((rows - spot[0]) ** 2 * 0.09 + (columns - spot[1]) ** 2 * 0.04) / 0.5)
    )
    made = prepare.run(raw, [prepare.Rotate(angle_deg=angle, canvas=canvas)], defects=[spot])
    np.testing.assert_allclose(
        prepare.world_nm(made.image, made.defects.positions),
        prepare.world_nm(raw, [spot]),
        atol=1e-9,
    )
    row, column = made.defects.positions[0]
    peak = np.unravel_index(np.nanargmax(made.image.values), made.image.shape)
    assert np.hypot(peak[0] - row, peak[1] - column) < 0.8
    if canvas == "whole":
        # Nothing but a rim of less than a pixel is lost.
        pixels = made.mask.sum() * np.prod(pitch(made.image)[:2])
        assert pixels > 0.9 * raw.size * 0.06
    else:
        assert made.image.shape == raw.shape


@pytest.mark.parametrize("angle", [30.0, 90.0, 180.0])
def test_a_y_axis_that_falls_turns_the_same_way(angle) -> None:
    rising = image(offset_nm=(-4.0, 12.0), scan_angle_deg=20.0)
    falling = rising.assign_coords(y=("y", rising.y.values[::-1], {"units": "nm"}))
    up, down = (prepare.run(raw, [prepare.Rotate(angle_deg=angle)]) for raw in (rising, falling))
    np.testing.assert_array_equal(down.image.values, up.image.values)
    np.testing.assert_allclose(down.image.y, up.image.y[::-1], atol=1e-12)
    np.testing.assert_allclose(down.image.x, up.image.x, atol=1e-12)
    assert down.image.attrs["scan_angle_deg"] == pytest.approx(up.image.attrs["scan_angle_deg"])


def test_opposite_turns_interpolate_once() -> None:
    raw = image((64, 64))
    steps = [prepare.Rotate(angle_deg=angle, canvas="same") for angle in (11.0, -11.0)]
    made = prepare.run(raw, steps)
    middle = np.s_[20:44, 20:44]
    np.testing.assert_allclose(made.image.values[middle], raw.values[middle], atol=1e-6)


def test_what_a_first_turn_cut_off_is_not_invented_by_the_next() -> None:
    turns = [prepare.Rotate(angle_deg=30.0, canvas="same")]
    turns += [prepare.Rotate(angle_deg=angle) for angle in (20.0, -35.0)]
    for steps in (turns[:2], turns):
        made = prepare.run(image((40, 40)), steps)
        assert made.mask.any()
        np.testing.assert_array_equal(np.isfinite(made.image.values), made.mask)
