"""Averaging over a point group."""

import numpy as np
import pytest
import xarray as xr

from qpi_kernels import prepare


@pytest.mark.parametrize("side", [32, 33])
@pytest.mark.parametrize("symmetry", ["C2", "C3", "C4v", "C6v", "Cs@30"])
def test_a_point_at_the_zero_stays_and_a_second_average_changes_nothing(side, symmetry) -> None:
    image = np.zeros((side, side))
    image[side // 2, side // 2] = 1.0
    step = prepare.Symmetrize(symmetry=symmetry)
    assert prepare.run(image, [step]).image.values[side // 2, side // 2] == pytest.approx(1.0)
    rows, columns = np.indices((side, side)) - side // 2
    smooth = np.exp(-((rows - 3) ** 2 + (columns + 2) ** 2) / 12.0)
    once = prepare.run(smooth, [step])
    twice = prepare.run(once.image.values, [step])
    inner = np.hypot(rows, columns) < side / 2 - 3
    np.testing.assert_allclose(
        twice.image.values[inner], once.image.values[inner], atol=2e-3 * once.image.values.max()
    )
    assert once.report["symmetrize"]["residual_share"] > 0.2


def test_four_folds_of_a_stack_average_what_counts() -> None:
    stack = np.random.default_rng(0).normal(size=(2, 15, 15))
    mask = np.ones((15, 15), bool)
    mask[7, 9] = False
    made = prepare.run(stack, [prepare.Symmetrize(symmetry="C4")], mask=mask)
    expected = (stack[1, 5, 7] + stack[1, 7, 5] + stack[1, 9, 7]) / 3
    for row, column in ((5, 7), (7, 5), (9, 7), (7, 9)):
        assert made.image.values[1, row, column] == pytest.approx(expected)
    assert made.mask.all()


def test_a_pixel_counts_if_any_plane_was_measured_there() -> None:
    stack = np.random.default_rng(0).normal(size=(2, 15, 15))
    stack[0, 7, 7] = np.nan
    made = prepare.run(stack, [prepare.Symmetrize(symmetry="C4")])
    assert made.mask.all()
    assert made.image.values[1, 7, 7] == pytest.approx(stack[1, 7, 7])


def test_a_round_ring_is_round_on_pixels_that_are_not_square() -> None:
    rows, columns = np.indices((33, 65))
    radius = np.hypot(rows - 16, 0.5 * (columns - 32))
    image = xr.DataArray(
        np.exp(-(((radius - 8.0) / 2.0) ** 2)),
        dims=("y", "x"),
        coords={
            "y": ("y", np.arange(33) * 1.0, {"units": "nm"}),
            "x": ("x", np.arange(65) * 0.5, {"units": "nm"}),
        },
    )
    made = prepare.run(image, [prepare.Symmetrize(symmetry="C4v")])
    assert made.report["symmetrize"]["residual_share"] < 0.01


def test_the_centre_may_be_a_defect() -> None:
    rows, columns = np.indices((40, 50))
    image = np.exp(-(((rows - 15.3) / 3.0) ** 2) - ((columns - 22.6) / 3.0) ** 2)
    step = prepare.Symmetrize(symmetry="C4v", centre="defect")
    made = prepare.run(image, [step], defects=[(15.3, 22.6)])
    assert made.image.shape == (31, 45)
    np.testing.assert_allclose(made.defects.positions, [(15, 22)])
    assert made.report["symmetrize"]["residual_share"] < 0.01
    with pytest.raises(prepare.PreparationError, match="no defect"):
        prepare.run(image, [step])


def test_an_unknown_group_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown symmetry"):
        prepare.Symmetrize(symmetry="C5")
