"""`Inspection`: what all panels of the Inspect dock share; no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from napari.layers import Image
from numpy.typing import NDArray
from psygnal import Signal

from napari_qpi.tasks.inspection.inspected import ROLES, Inspected
from napari_qpi.tasks.inspection.transforms import StackTransforms
from qpi_kernels import inspect
from qpi_kernels.inspect.axes import nearest_plane
from qpi_kernels.inspect.fourier_transform import KERNEL_PADDING, Window

__all__ = ["Inspection", "Line", "MomentumUnit", "bias_in_words"]

MomentumUnit = Literal["rad/nm", "1/nm"]
"""``2 pi / wavelength`` or ``1 / wavelength``."""


# Of 256 x 256 pixels in single precision each takes a quarter of a megabyte.
_KEPT_PLANES = 256
_SMALL_BIAS_V = 0.01


@dataclass(frozen=True)
class Line:
    """A line on the map or on its Fourier transform.

    Parameters
    ----------
    space : {"real", "q"}
        Where it lies.
    start, stop : tuple of float
        ``(y, x)`` in the map's coordinates, or ``(q_y, q_x)`` in rad per unit of length.
    width : float
        Across the line, in the same unit.
    """

    space: Literal["real", "q"]
    start: tuple[float, float]
    stop: tuple[float, float]
    width: float = 0.0


class Inspection:
    """The state of one Inspect dock, which tells its panels what has changed.

    Attributes
    ----------
    data_changed, bias_changed, units_changed, window_changed, line_changed : psygnal.Signal
        Other arrays, another bias, another unit of q for display, another window of the Fourier
        transforms, another line; without arguments.
    transforms : StackTransforms
        The transforms of whole stacks, which `fourier_stack` gives.
    map_layer, kernel_layer : napari.layers.Image or None
        The layers that the arrays came from while they are in the viewer, for handles on them.
    """

    data_changed: ClassVar[Signal] = Signal()
    bias_changed: ClassVar[Signal] = Signal()
    units_changed: ClassVar[Signal] = Signal()
    window_changed: ClassVar[Signal] = Signal()
    line_changed: ClassVar[Signal] = Signal()

    def __init__(self) -> None:
        self.map_layer: Image | None = None
        self.kernel_layer: Image | None = None
        self._data = Inspected()
        self._bias: float | None = None
        self._units: MomentumUnit = "rad/nm"
        self._line: Line | None = None
        self._window: Window = "hann"
        self._planes: dict[tuple[Any, ...], xr.DataArray] = {}
        self.transforms = StackTransforms()

    @property
    def data(self) -> Inspected:
        """The arrays; set it to look at others."""
        return self._data

    @data.setter
    def data(self, data: Inspected) -> None:
        """Look at other arrays, and keep the transforms of those that stay."""
        before, self._data = self._data, data
        changed = {role for role in ROLES if not _same(role, before, data)}
        self._planes = {key: kept for key, kept in self._planes.items() if key[0] not in changed}
        self.transforms.forget(changed)
        biases = self.biases
        if not len(biases):
            self._bias = None
        elif self._bias is None:
            self._bias = float(biases[len(biases) // 2])
        else:
            self._bias = float(biases[nearest_plane(biases, self._bias)])
        self.data_changed.emit()

    @property
    def biases(self) -> NDArray[np.float64]:
        """Biases of the slider: those of the map, else of the kernel; none of single maps."""
        for role in ROLES:
            array = self._data.image(role)
            if array is not None and "bias" in array.dims:
                return np.sort(np.asarray(array["bias"].values, float))
        return np.zeros(0)

    @property
    def bias_unit(self) -> str:
        """Unit of the biases."""
        arrays = [self._data.image(role) for role in ROLES]
        found = [each for each in arrays if each is not None and "bias" in each.dims]
        return str(found[0]["bias"].attrs.get("units", "V")) if found else "V"

    @property
    def bias(self) -> float | None:
        """The bias on show, one of `biases`; None of single maps."""
        return self._bias

    @bias.setter
    def bias(self, bias: float) -> None:
        """Show the nearest of `biases`."""
        biases = self.biases
        if not len(biases):
            return
        nearest = float(biases[nearest_plane(biases, bias)])
        if nearest != self._bias:
            self._bias = nearest
            self.bias_changed.emit()

    @property
    def units(self) -> MomentumUnit:
        """Unit in which scattering vectors are shown; all arrays stay in rad per unit of length."""
        return self._units

    @units.setter
    def units(self, units: MomentumUnit) -> None:
        if units != self._units:
            self._units = units
            self.units_changed.emit()

    @property
    def q_factor(self) -> float:
        """Factor from rad per unit of length to the unit on show."""
        return 1.0 if self._units == "rad/nm" else 1.0 / (2.0 * pi)

    @property
    def window(self) -> Window:
        """The window of all Fourier transforms, as `qpi_kernels.inspect.fourier` takes it."""
        return self._window

    @window.setter
    def window(self, window: Window) -> None:
        if window != self._window:
            self._window = window
            self._planes.clear()
            self.window_changed.emit()

    @property
    def length_unit(self) -> str:
        """Unit of lengths in the arrays, ``nm`` or ``pixel``."""
        arrays = [self._data.image(role) for role in ROLES]
        return next(
            (str(each["x"].attrs.get("units", "")) for each in arrays if each is not None), "nm"
        )

    @property
    def q_unit(self) -> str:
        """Unit of `q_factor`'s product, for an axis."""
        length = self.length_unit
        return f"rad/{length}" if self._units == "rad/nm" else f"1/{length}"

    @property
    def line(self) -> Line | None:
        """The line that cuts are taken along."""
        return self._line

    @line.setter
    def line(self, line: Line | None) -> None:
        if line != self._line:
            self._line = line
            self.line_changed.emit()

    def plane(self, role: str) -> xr.DataArray | None:
        """Return the plane ``(y, x)`` of the bias on show.

        Parameters
        ----------
        role : str
            One of `ROLES`.

        Returns
        -------
        xarray.DataArray or None
            That of the nearest bias, which its coordinate ``bias`` tells.
        """
        array = self._data.image(role)
        if array is None or "bias" not in array.dims:
            return array
        return array.isel(bias=self.index(role))

    def index(self, role: str) -> int:
        """Return which plane of a stack has the bias nearest to that on show."""
        array = self._data.image(role)
        assert array is not None
        return nearest_plane(np.asarray(array["bias"].values, float), self._bias or 0.0)

    def is_stack(self, role: str) -> bool:
        """Return whether an array is there and goes over biases."""
        array = self._data.image(role)
        return array is not None and "bias" in array.dims

    def mask_of(self, role: str) -> NDArray[np.bool_] | None:
        """Return the pixels of an array that count, None where all do: a kernel's always do."""
        array = self._data.image(role)
        mask = self._data.kernel.residual_mask if role == "residual" else self._data.map.mask
        if role == "kernel" or array is None or mask is None:
            return None
        return mask if mask.shape == array.shape[-2:] else None

    def fourier_options(self, role: str) -> dict[str, Any]:
        """Return the options of `qpi_kernels.inspect.fourier` for an array, but its mask."""
        # Finer steps in q let a small kernel's rings look round.
        return {"window": self._window, "padding": KERNEL_PADDING if role == "kernel" else 1}

    def fourier(self, role: str) -> xr.DataArray | None:
        """Return the Fourier amplitude of the plane on show, kept for when it is shown again.

        Raises
        ------
        InspectionError
            If the plane can not be transformed.
        """
        plane = self.plane(role)
        if plane is None:
            return None
        key = (role, None if "bias" not in plane.coords else float(plane["bias"]))
        if key not in self._planes:
            if len(self._planes) >= _KEPT_PLANES:
                del self._planes[next(iter(self._planes))]
            options = self.fourier_options(role)
            self._planes[key] = inspect.fourier(plane.compute(), mask=self.mask_of(role), **options)
        return self._planes[key]

    def fourier_stack(self, role: str) -> xr.DataArray | None:
        """Return the Fourier amplitudes of a whole stack, or begin with them and return None.

        `transforms` tells when they are ready, or why there are none.
        """
        stack = self._data.image(role)
        if stack is None or "bias" not in stack.dims:
            return None
        options = self.fourier_options(role)
        return self.transforms.get(role, stack, self.mask_of(role), **options)

    def title(self, role: str) -> str:
        """Say which array and which of its biases is on show."""
        plane, name = self.plane(role), self._data.name(role)
        if plane is None:
            return ""
        if "bias" not in plane.coords or plane["bias"].ndim:
            return name
        unit = str(plane["bias"].attrs.get("units", "V"))
        return f"{name}, {bias_in_words(float(plane['bias']), unit)}"


def bias_in_words(bias: float, unit: str) -> str:
    """Write a bias with its sign, small voltages in mV."""
    if unit == "V" and 0 < abs(bias) < _SMALL_BIAS_V:
        return f"{1e3 * bias:+.4g} mV"
    return f"{bias:+.4g} {unit}"


def _same(role: str, before: Inspected, now: Inspected) -> bool:
    """Return whether an array and its mask are the same objects as before."""
    return (
        now.image(role) is before.image(role)
        and now.map.mask is before.map.mask
        and now.kernel.residual_mask is before.kernel.residual_mask
    )
