"""`Inspection`: what all panels of the Inspect dock share; no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import ClassVar, Literal

import numpy as np
import xarray as xr
from napari.layers import Image
from numpy.typing import NDArray
from psygnal import Signal

from napari_qpi.tasks.inspection.inspected import ROLES, Inspected

__all__ = ["Inspection", "Line", "MomentumUnit"]

MomentumUnit = Literal["rad/nm", "1/nm"]
"""``2 pi / wavelength`` or ``1 / wavelength``."""


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
    data_changed, bias_changed, units_changed, line_changed : psygnal.Signal
        Other arrays, another bias, another unit of q for display, another line; without arguments.
    map_layer, kernel_layer : napari.layers.Image or None
        The layers that the arrays came from while they are in the viewer, for handles on them.
    """

    data_changed: ClassVar[Signal] = Signal()
    bias_changed: ClassVar[Signal] = Signal()
    units_changed: ClassVar[Signal] = Signal()
    line_changed: ClassVar[Signal] = Signal()

    def __init__(self) -> None:
        self.map_layer: Image | None = None
        self.kernel_layer: Image | None = None
        self._data = Inspected()
        self._bias: float | None = None
        self._units: MomentumUnit = "rad/nm"
        self._line: Line | None = None

    @property
    def data(self) -> Inspected:
        """The arrays; set it to look at others."""
        return self._data

    @data.setter
    def data(self, data: Inspected) -> None:
        self._data = data
        biases = self.biases
        if not len(biases):
            self._bias = None
        elif self._bias is None:
            self._bias = float(biases[len(biases) // 2])
        else:
            self._bias = float(biases[np.abs(biases - self._bias).argmin()])
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
        biases = self.biases
        if not len(biases):
            return
        nearest = float(biases[np.abs(biases - bias).argmin()])
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
        """What a wave vector in rad per unit of length is multiplied with to be shown."""
        return 1.0 if self._units == "rad/nm" else 1.0 / (2.0 * pi)

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
        away = np.abs(np.asarray(array["bias"].values, float) - (self._bias or 0.0))
        return array.isel(bias=int(away.argmin()))

    def title(self, role: str) -> str:
        """Say which array and which of its biases is on show."""
        plane, name = self.plane(role), self._data.name(role)
        if plane is None:
            return ""
        if "bias" not in plane.coords or plane["bias"].ndim:
            return name
        unit = plane["bias"].attrs.get("units", "V")
        return f"{name}, {float(plane['bias']):+.4g} {unit}"
