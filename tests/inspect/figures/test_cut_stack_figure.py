"""The figure of cuts over bias: pixels at their biases, which need not be even."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from qpi_kernels.inspect import figure
from qpi_kernels.inspect.figures.kind import FigureError

BIASES = np.array([-0.1, 0.0, 0.05, 0.2])


def test_rows_lie_at_their_biases() -> None:
    stack = xr.DataArray(
        np.arange(20.0).reshape(4, 5),
        dims=("bias", "distance"),
        coords={
            "bias": ("bias", BIASES, {"units": "V"}),
            "distance": ("distance", 0.5 * np.arange(5), {"units": "nm"}),
        },
        attrs={"units": "pS", "long_name": "dI/dV"},
    )
    axes, bar = figure("cut_stack", stack).axes
    (mesh,) = axes.collections
    np.testing.assert_array_equal(mesh.get_array(), stack)
    # Edges lie half way between neighbours.
    np.testing.assert_allclose(mesh.get_coordinates()[1:4, 0, 1], [-0.05, 0.025, 0.125])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("distance (nm)", "bias (V)")
    assert bar.get_ylabel() == "dI/dV (pS)"
    with pytest.raises(FigureError, match="two axes"):
        figure("cut_stack", stack[0])
