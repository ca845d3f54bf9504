"""Cutting out a rectangle."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from qpi_kernels import prepare


@given(
    first=st.tuples(st.integers(0, 9), st.integers(0, 11)),
    size=st.tuples(st.integers(1, 10), st.integers(1, 12)),
    point=st.tuples(st.floats(-30, 50), st.floats(-30, 50)),
    stack=st.booleans(),
    lazy=st.booleans(),
)
def test_crop_keeps_values_and_points_where_they_are_in_nm(first, size, point, stack, lazy) -> None:
    shape = (2, 20, 24) if stack else (20, 24)
    values = np.random.default_rng(0).normal(size=shape)
    y, x = 0.3 * np.arange(20) + 5.0, 0.2 * np.arange(24) - 1.0
    dims = ("bias", "y", "x")[-len(shape) :]
    raw = xr.DataArray(
        da.from_array(values) if lazy else values, dims=dims, coords={"y": y, "x": x}
    )
    mask = np.random.default_rng(1).random((20, 24)) > 0.3
    rows, columns = ((start, start + length) for start, length in zip(first, size, strict=True))
    made = prepare.run(raw, [prepare.Crop(rows=rows, columns=columns)], mask=mask, defects=[point])
    xr.testing.assert_identical(made.image, raw.sel(y=made.image.y, x=made.image.x))
    np.testing.assert_array_equal(made.mask, mask[slice(*rows), slice(*columns)])
    row, column = made.defects.positions[0]
    np.testing.assert_allclose(
        [made.image.y[0] + 0.3 * row, made.image.x[0] + 0.2 * column],
        [5.0 + 0.3 * point[0], -1.0 + 0.2 * point[1]],
        atol=1e-9,
    )
    assert made.report["crop"]["removed_px"] == 20 * 24 - made.mask.size


def test_crop_refuses_a_rectangle_beyond_the_image() -> None:
    with pytest.raises(prepare.PreparationError, match=r"rows 3 to 9 .* has 8"):
        prepare.run(np.zeros((8, 8)), [prepare.Crop(rows=(3, 9), columns=(0, 8))])
