"""Stacks less their mean over bias."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from qpi_kernels.inspect import InspectionError, without_energy_mean


def test_only_what_disperses_is_left() -> None:
    lattice = np.zeros((5, 6))
    lattice[1, 2] = 7.0
    rings = np.zeros((3, 5, 6))
    for plane, column in enumerate((1, 3, 5)):
        rings[plane, 4, column] = 3.0
    axes = {"bias": [0.2, 0.1, 0.0]}
    stack = xr.DataArray(lattice + rings, dims=("bias", "q_y", "q_x"), coords=axes)
    stack.attrs = {"units": "S", "long_name": "Fourier amplitude"}
    made = without_energy_mean(stack)
    expected = rings.copy()
    for column in (1, 3, 5):
        expected[:, 4, column] -= 1.0
    np.testing.assert_allclose(made, expected)
    assert made.attrs == {"units": "S", "long_name": "Fourier amplitude less energy mean"}
    plane = without_energy_mean(stack, bias=0.12)
    np.testing.assert_array_equal(plane, made[1])
    assert float(plane["bias"]) == 0.1


def test_a_single_plane_has_no_energy_mean() -> None:
    with pytest.raises(InspectionError, match="one plane"):
        without_energy_mean(xr.DataArray(np.zeros((4, 4)), dims=("q_y", "q_x")))
