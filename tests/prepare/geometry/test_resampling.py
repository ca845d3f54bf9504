"""Moving pixels: values, masks, defects, coordinates and the place on the sample move together."""

from __future__ import annotations

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from qpi_kernels import prepare
from qpi_kernels.prepare.geometry.frame import Frame
from qpi_kernels.prepare.geometry.resampling import resample

PITCH = (0.3, 0.2)
QUARTER = np.array([[0.0, 1.0], [-1.0, 0.0]])


def waves(rows, columns):
    """Return a sum of waves of at most 0.3 of the Nyquist frequency, at positions in pixels."""
    return np.cos(0.7 * rows - 0.5 * columns) + np.sin(0.3 * rows + 0.8 * columns + 0.4)


def scan(shape=(40, 51), *, defects=None, channels=None, **attrs):
    rows, columns = np.indices(shape)
    image = xr.DataArray(
        waves(rows, columns),
        dims=("y", "x"),
        coords={
            name: (name, np.arange(size) * step, {"units": "nm"})
            for name, size, step in zip(("y", "x"), shape, PITCH, strict=True)
        },
        attrs=attrs,
    )
    return prepare.Prepared.start(image, None, defects, channels)


def turned(degrees):
    """Return the matrix that turns the image anticlockwise as seen on square pixels."""
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


@settings(deadline=None, max_examples=25)
@given(
    degrees=st.sampled_from([0.0, 7.0, 30.0, 90.0, 133.0]),
    shape=st.sampled_from([(33, 40), (40, 40), (24, 31)]),
    scale=st.sampled_from([1.0, 0.7]),
)
def test_values_and_points_are_those_of_the_old_positions(degrees, shape, scale) -> None:
    before = scan(defects=[(12.3, 30.1), (25.0, 8.0)])
    frame = Frame.about_centre((40, 51), shape, scale * turned(degrees))
    after = resample(before, frame)
    old = frame.grid()
    inside = after.mask
    expected = waves(*old)
    # A spline is not exact beside the image's edge, where it has no neighbours.
    deep = ((old > 4) & (old < np.array([35, 46])[:, None, None])).all(axis=0)
    assert inside[deep].all()
    np.testing.assert_allclose(after.image.values[deep], expected[deep], atol=1e-2)
    beyond = ((old < -0.01) | (old > np.array([39.01, 50.01])[:, None, None])).any(axis=0)
    assert not inside[beyond].any()
    assert np.isnan(after.image.values[beyond]).all()
    np.testing.assert_allclose(
        frame.to_old(after.defects.positions), before.defects.positions, atol=1e-9
    )


@pytest.mark.parametrize("degrees", [0.0, 20.0, 90.0])
def test_points_keep_their_place_on_the_sample(degrees) -> None:
    before = scan((40, 40), defects=[(3.0, 30.0)], offset_nm=(100.0, -50.0), scan_angle_deg=15.0)
    before = prepare.Prepared.start(
        before.image.assign_coords(y=("y", np.arange(40) * 0.2, {"units": "nm"})),
        None,
        before.defects,
    )
    after = resample(before, Frame((30, 25), 1.5 * turned(degrees), np.array([2.0, 5.0])))
    np.testing.assert_allclose(
        prepare.world_nm(after.image, after.defects.positions),
        prepare.world_nm(before.image, before.defects.positions),
        atol=1e-9,
    )
    assert np.ptp(after.image.x.values) == pytest.approx(24 * 0.3)


def test_a_frame_lies_where_the_instrument_says() -> None:
    image = scan((40, 51), offset_nm=(7.0, 9.0)).image
    np.testing.assert_allclose(prepare.world_nm(image, (19.5, 25.0)), (7.0, 9.0))
    # Up is north and right is east of a straight frame; a frame turned by 90 degrees clockwise
    # has its first row in the east and its first column in the north.
    assert prepare.world_nm(image, (0.0, 25.0))[1] > 9.0
    assert prepare.world_nm(image, (19.5, 50.0))[0] > 7.0
    clockwise = image.assign_attrs(scan_angle_deg=90.0)
    assert prepare.world_nm(clockwise, (0.0, 25.0))[0] > 7.0
    assert prepare.world_nm(clockwise, (19.5, 0.0))[1] > 9.0


@pytest.mark.parametrize(
    ("integer", "floating"),
    [(np.uint8, np.float32), (np.int16, np.float32), (np.int32, np.float64)],
)
def test_a_quarter_turn_copies_integers(integer, floating) -> None:
    raw = (np.iinfo(integer).max - np.arange(48)).astype(integer).reshape(6, 8)
    turned = prepare.run(raw, [prepare.Rotate(angle_deg=90.0)]).image
    assert turned.dtype == floating
    np.testing.assert_array_equal(turned.values.astype(np.int64), np.rot90(raw).astype(np.int64))


def test_two_moves_interpolate_once() -> None:
    noise = np.random.default_rng(0).normal(size=(48, 48))
    shift = Frame((48, 48), np.eye(2), np.array([0.5, 0.5]))
    back = Frame((48, 48), np.eye(2), np.array([-0.5, -0.5]))
    before = prepare.Prepared.start(noise)
    once = resample(resample(before, shift), back)
    np.testing.assert_allclose(once.image.values[2:-2, 2:-2], noise[2:-2, 2:-2], atol=1e-9)


def test_a_change_of_values_between_two_moves_is_kept() -> None:
    shift = Frame((40, 51), np.eye(2), np.array([0.5, 0.0]))
    moved = resample(scan(), shift)
    doubled = replace(moved, image=2 * moved.image)
    back = resample(doubled, Frame((40, 51), np.eye(2), np.array([-0.5, 0.0])))
    np.testing.assert_allclose(
        back.image.values[6:-6, 6:-6], 2 * scan().image.values[6:-6, 6:-6], atol=2e-2
    )


def test_a_displacement_shows_raw_at_r_plus_u_and_moves_points_back() -> None:
    shape = (40, 51)
    rows, columns = np.indices(shape)
    u = np.stack([1.5 * np.sin(columns / 12.0), 2.0 * np.cos(rows / 15.0)])
    before = scan(shape, defects=[(20.0, 22.0), (9.0, 35.0)])
    after = resample(before, Frame(shape, np.eye(2), np.zeros(2)), u)
    inner = np.s_[6:-6, 6:-6]
    np.testing.assert_allclose(
        after.image.values[inner], waves(rows + u[0], columns + u[1])[inner], atol=1e-2
    )
    for new, old in zip(after.defects.positions, before.defects.positions, strict=True):
        there = new + np.array([1.5 * np.sin(new[1] / 12.0), 2.0 * np.cos(new[0] / 15.0)])
        np.testing.assert_allclose(there, old, atol=5e-3)


def test_a_displacement_that_folds_is_refused() -> None:
    u = np.zeros((2, 40, 51))
    u[1] = 8.0 * np.sin(np.arange(51))
    with pytest.raises(prepare.PreparationError, match="folds"):
        resample(scan(defects=[(20.0, 22.0)]), Frame((40, 51), np.eye(2), np.zeros(2)), u)


def test_what_was_not_measured_stays_so_and_masks_move_along() -> None:
    before = scan()
    holes = before.image.copy()
    holes[10:12, 20:30] = np.nan
    mask = np.ones((40, 51), bool)
    mask[30, 40] = False
    started = prepare.Prepared.start(holes, mask)
    after = resample(started, Frame((40, 51), np.eye(2), np.array([0.5, 0.0])))
    # Between a pixel that counts and one that does not, nothing counts.
    assert np.isnan(after.image.values[9:12, 20:30]).all()
    assert np.isfinite(after.image.values[8, 20:30]).all()
    assert not after.mask[29:31, 40].any()
    assert after.mask[[28, 31], [40, 40]].all()
    rows, columns = np.indices((40, 51))
    np.testing.assert_allclose(
        after.image.values[15:25, 8:-8],
        waves(rows + 0.5, columns)[15:25, 8:-8],
        atol=2e-2,
    )


def test_quarter_turns_of_any_shape_copy_values() -> None:
    before = scan((40, 51), defects=[(3.0, 30.0)])
    once = resample(before, Frame.about_centre((40, 51), (51, 40), QUARTER))
    np.testing.assert_array_equal(once.image.values, np.rot90(before.image.values))
    np.testing.assert_allclose(once.defects.positions, [[50 - 30.0, 3.0]])


@pytest.mark.parametrize("lazy", [False, True])
def test_cubes_and_channels_move_alike(lazy) -> None:
    plane = scan().image
    stack = xr.concat([plane, -plane], "bias").assign_coords(bias=[0.1, 0.2])
    if lazy:
        stack = stack.copy(data=da.from_array(stack.values, chunks=(1, 20, 51)))
    before = prepare.Prepared.start(stack, channels={"topography": plane})
    frame = Frame((30, 30), turned(10.0), np.array([4.0, 6.0]))
    after = resample(before, frame)
    assert hasattr(after.image.data, "dask") == lazy
    topography = after.channels["topography"]
    np.testing.assert_array_equal(after.image.values[0], topography.values)
    np.testing.assert_array_equal(after.image.values[1], -topography.values)
    assert after.image.bias.values.tolist() == [0.1, 0.2]
    np.testing.assert_array_equal(after.image.x, topography.x)


def test_channels_of_another_size_are_refused() -> None:
    with pytest.raises(prepare.PreparationError, match="topography"):
        scan(channels={"topography": np.zeros((4, 4))})
