"""A kernel beside the map it came from, in q space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from qpi_kernels.inspect.axes import InspectionError, axis_step, axis_unit, image_dims, image_of
from qpi_kernels.inspect.fourier_transform import KERNEL_PADDING, Window, fourier, transform
from qpi_kernels.inspect.profiles import radial_profile, white_floor
from qpi_kernels.result import KernelResult

__all__ = ["FourierComparison", "compare_fourier"]

_PITCH_TOLERANCE = 1e-3
_DECADES = 1e-5


@dataclass(frozen=True, eq=False)
class FourierComparison:
    """Fourier amplitudes of a kernel and of a map on one q grid.

    The map's is the kernel's times the speckle of its defects' positions; their scales differ, so
    each image wants its own colour limits.

    Parameters
    ----------
    kernel, observation : xarray.DataArray
        ``(..., q_y, q_x)``, amplitudes in the data's unit; the kernel is padded to the map's size.
    kernel_profile, observation_profile : xarray.Dataset
        Radial profiles ``mean``, ``std`` and ``count`` over ``q``, each in rings of its own
        resolution (see `radial_profile`; the kernel's of ``fourier(kernel, padding=4)``), and
        ``floor``, the level of white noise. It is not subtracted.
    """

    kernel: xr.DataArray
    observation: xr.DataArray
    kernel_profile: xr.Dataset
    observation_profile: xr.Dataset

    def plot(self, axes: Any, *, bias: int = 0) -> Any:
        """Draw both profiles with their floors on matplotlib axes, of one bias; return these."""
        floors: list[float] = []
        for profile, colour, label in (
            (self.observation_profile, "#4477aa", "map"),
            (self.kernel_profile, "#cc6677", "kernel"),
        ):
            one = profile.isel(bias=bias) if "bias" in profile.dims else profile
            axes.errorbar(one["q"], one["mean"], one["std"], color=colour, label=label)
            axes.axhline(float(one["floor"]), color=colour, linestyle=":", label=f"{label}, floor")
            floors.append(float(one["floor"]))
        q = self.kernel_profile["q"]
        axes.set_yscale("log", nonpositive="mask")
        axes.set_ylim(bottom=max(min(floors) / 3, axes.get_ylim()[1] * _DECADES))
        axes.set_xlabel(f"q = 2π/λ ({q.attrs['units']})")
        unit = self.kernel.attrs.get("units", "")
        axes.set_ylabel(f"Fourier amplitude{f' ({unit})' if unit else ''}")
        axes.legend(fontsize="small", frameon=False)
        return axes


def compare_fourier(
    kernel: KernelResult | xr.DataArray,
    observation: xr.DataArray | None = None,
    *,
    mask: ArrayLike | xr.DataArray | None = None,
    window: Window = "hann",
) -> FourierComparison:
    """Transform a kernel and its map to the same scattering vectors.

    Parameters
    ----------
    kernel : KernelResult or xarray.DataArray
        ``(..., y, x)``, not larger than the map and with its pitch.
    observation : xarray.DataArray, optional
        ``(..., y, x)``, the map; NaN does not count. Left out, that of the result.
    mask : array of bool, (y, x), optional
        True where a pixel of the map counts; of a result's own map, the result's if left out.
    window : str
        As for `fourier`; over the kernel's own frame for the kernel.

    Returns
    -------
    FourierComparison

    Raises
    ------
    InspectionError
        If there is no map, the pitches differ or the kernel is larger than the map.
    """
    if observation is None:
        if not isinstance(kernel, KernelResult):
            raise InspectionError("give the map too: only a KernelResult brings its own")
        observation, mask = kernel.observation, kernel.mask if mask is None else mask
    if isinstance(observation, KernelResult):
        raise InspectionError("the first argument is the kernel or its result, the second the map")
    kernel, observation = image_of(kernel), image_of(observation)
    for image in (kernel, observation):
        if image_dims(image) != ("y", "x"):
            raise InspectionError("compare a kernel and a map (y, x), not Fourier transforms")
    for axis in ("y", "x"):
        steps = [abs(axis_step(image, axis)) for image in (kernel, observation)]
        units = [axis_unit(image, axis) for image in (kernel, observation)]
        if abs(steps[0] - steps[1]) > _PITCH_TOLERANCE * steps[1] or units[0] != units[1]:
            raise InspectionError(
                f"the pitch of the kernel, {steps[0]:g} {units[0]}, is not that of the map, "
                f"{steps[1]:g} {units[1]}, along {axis}"
            )
    shape = (observation.shape[-2], observation.shape[-1])
    if (np.array(kernel.shape[-2:]) > shape).any():
        raise InspectionError(f"the kernel {kernel.shape[-2:]} is larger than the map {shape}")
    seen = transform(observation, shape, window=window, scale="amplitude", mask=mask)
    own = transform(kernel, shape, window=window, scale="amplitude")
    # The pitches may differ by rounding, and coordinates are compared to the bit.
    own = own.assign_coords(q_y=seen["q_y"], q_x=seen["q_x"])
    padded = fourier(kernel, window=window, padding=KERNEL_PADDING)
    return FourierComparison(own, seen, _with_floor(padded), _with_floor(seen))


def _with_floor(amplitude: xr.DataArray) -> xr.Dataset:
    """Average amplitudes over rings, and note their level of white noise."""
    profile = radial_profile(amplitude)
    floor = white_floor(amplitude) ** 0.5
    described = {"units": profile["mean"].attrs["units"], "long_name": "floor of white noise"}
    return profile.assign(floor=floor.assign_attrs(described))
