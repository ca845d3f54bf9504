"""Figures of any curves over one axis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from qpi_kernels.inspect import figure
from qpi_kernels.inspect.figures.kind import FigureError


def profile() -> xr.Dataset:
    q = ("q", np.linspace(0.0, 3.0, 4), {"units": "rad/nm", "long_name": "q"})
    known = {"units": "S", "long_name": "amplitude"}
    return xr.Dataset(
        {
            "mean": ("q", [1.0, 4.0, 2.0, 1.0], known),
            "std": ("q", [0.1, 0.2, 0.1, 0.1], {"units": "S", "long_name": "error"}),
            "count": ("q", [1, 8, 16, 24]),
            "floor": ((), 0.5, {"units": "S", "long_name": "floor of white noise"}),
        },
        coords={"q": q},
        attrs={"long_name": "profile of map"},
    )


def test_means_with_errors_and_floors_are_drawn(tmp_path: Path) -> None:
    path = tmp_path / "profile.svg"
    (axes,) = figure("curves", profile(), path=path).axes
    curve, floor = axes.get_lines()
    np.testing.assert_array_equal(curve.get_xydata()[:, 1], [1.0, 4.0, 2.0, 1.0])
    assert set(np.asarray(floor.get_ydata())) == {0.5}
    (band,) = axes.collections
    reach = band.get_paths()[0].get_extents()
    assert (reach.ymin, reach.ymax) == (0.9, 4.2)
    assert axes.get_ylabel() == "amplitude (S)"
    table = pd.read_csv(tmp_path / "profile.csv", comment="#")
    np.testing.assert_array_equal(table["std (S)"], profile()["std"])
    np.testing.assert_array_equal(table["count"], profile()["count"])


def test_one_curve_needs_no_legend() -> None:
    (axes,) = figure("curves", profile()["mean"]).axes
    assert axes.get_legend() is None
    assert len(axes.get_lines()) == 1


def test_images_are_no_curves() -> None:
    with pytest.raises(FigureError, match="one axis"):
        figure("curves", xr.DataArray(np.zeros((2, 3)), dims=("y", "x")))
    with pytest.raises(FigureError, match="DataArray"):
        figure("curves", [1, 2])
