"""Stacks over bias less their mean."""

from __future__ import annotations

import xarray as xr

from qpi_kernels.inspect.axes import (
    InspectionError,
    image_of,
    nearest_plane,
)
from qpi_kernels.result import KernelResult

__all__ = ["without_energy_mean"]


def without_energy_mean(
    stack: xr.DataArray | KernelResult, bias: float | None = None
) -> xr.DataArray:
    """Subtract from each plane of a stack the mean over all biases.

    Of Fourier amplitudes this removes the static part: Bragg peaks, charge density waves, pickup,
    and the ring of a set point that all biases share.

    Parameters
    ----------
    stack : xarray.DataArray or KernelResult
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
    stack = image_of(stack)
    if "bias" not in stack.dims:
        raise InspectionError("there is but one plane; the energy mean is that of a stack")
    planes = stack
    if bias is not None:
        planes = stack.isel(bias=nearest_plane(stack["bias"], bias))
    made = planes - stack.mean("bias")
    name = str(stack.attrs.get("long_name", "")).strip()
    return made.assign_attrs({**stack.attrs, "long_name": f"{name} less energy mean".strip()})
