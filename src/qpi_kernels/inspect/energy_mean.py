"""Stacks over bias less their mean: what disperses."""

from __future__ import annotations

import numpy as np
import xarray as xr

from qpi_kernels.inspect.axes import InspectionError

__all__ = ["without_energy_mean"]


def without_energy_mean(stack: xr.DataArray, bias: float | None = None) -> xr.DataArray:
    """Subtract from each plane of a stack the mean over all biases.

    Of Fourier amplitudes nothing is left of what does not disperse: Bragg peaks, charge density
    waves, pickup, and the ring of a set point that all biases share.

    Parameters
    ----------
    stack : xarray.DataArray
        With a dim ``bias``; NaN does not count.
    bias : float, optional
        Only the plane nearest to it is wanted, in V.

    Returns
    -------
    xarray.DataArray
        In the stack's unit, without the dim ``bias`` where one plane was wanted.

    Raises
    ------
    InspectionError
        If there is no dim ``bias``.
    """
    if "bias" not in stack.dims:
        raise InspectionError("there is but one plane; the energy mean is that of a stack")
    planes = stack
    if bias is not None:
        away = np.abs(np.asarray(stack["bias"].values, float) - bias)
        planes = stack.isel(bias=int(away.argmin()))
    made = planes - stack.mean("bias")
    name = str(stack.attrs.get("long_name", "")).strip()
    return made.assign_attrs({**stack.attrs, "long_name": f"{name} less energy mean".strip()})
