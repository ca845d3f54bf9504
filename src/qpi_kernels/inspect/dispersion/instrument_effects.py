"""Effects of the instrument on the waves of a bias: averages over energy and the set-point."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.inspect.dispersion.hankel.waves import EnergyAverage, outgoing_waves
from qpi_kernels.inspect.dispersion.models import DispersionModel, Waves
from qpi_kernels.inspect.dispersion.parameter_fit import FittedBand

if TYPE_CHECKING:
    from qpi_kernels.simulate.scattering.instrument import EnergyResolution, SetPoint

__all__ = ["energy_averages", "reaches", "setpoint_waves"]

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

_AVERAGE_NODES, _CURRENT_NODES = 15, 32
# In kT: far from the defect it is the tails of the Fermi function that damp the waves.
_THERMAL_REACH = 10.0
_MIN_WAVE_NUMBER = 0.02
# Beside a band's edge the damping of its waves has no limit.
_STRETCHES = (0.2, 5.0)


def energy_averages(
    resolution: EnergyResolution | None,
    table: xr.Dataset,
    band: DispersionModel,
    fitted: FittedBand,
) -> list[EnergyAverage] | None:
    """Compute how waves change over the energies that the instrument averages.

    Parameters
    ----------
    resolution : EnergyResolution, optional
        Width of the average; without it there is none.
    table : Dataset
        Wave numbers and dampings over ``bias``.
    band, fitted
        The band and its parameters.
    """
    if resolution is None or not resolution.sigma_eV:
        return None
    offsets, weights = resolution.spread(_AVERAGE_NODES, _THERMAL_REACH)
    energy, k = table["bias"].values.astype(float), table["k"].values
    damping = table["damping"].values
    speed = band.velocity(energy, damping, k, **fitted.values)
    shifts, stretches = [], []
    for offset in offsets:
        # The self-energy is the same, not the damping.
        stretch = speed / band.velocity(energy + offset, damping, k, **fitted.values)
        stretch = np.clip(np.nan_to_num(np.abs(stretch), nan=1.0), *_STRETCHES)
        there = band.wave_number(energy + offset, stretch * damping, k, **fitted.values)
        shifts.append(there - band.wave_number(energy, damping, k, **fitted.values))
        stretches.append(stretch)
    return [
        EnergyAverage(shift, stretch, weights)
        for shift, stretch in zip(np.transpose(shifts), np.transpose(stretches), strict=True)
    ]


def setpoint_waves(
    setpoint: SetPoint | None,
    table: xr.Dataset,
    band: DispersionModel,
    fitted: FittedBand,
    kind: Waves,
) -> Callable[[Array], Complex] | None:
    """Make the waves that the feedback follows: those of all energies up to the set-point.

    Their phase and self-energy are taken to be the same at all energies.

    Parameters
    ----------
    setpoint : SetPoint, optional
        Without it there are none.
    table, band, fitted
        As for `energy_averages`.
    kind : {"scalar", "helical", "integrated"}
        Of the waves.
    """
    if setpoint is None:
        return None
    nodes, weights = np.polynomial.legendre.leggauss(_CURRENT_NODES)
    energy = 0.5 * setpoint.bias * (1 + nodes)
    used = table.isel(bias=table["used"].values)
    k = np.interp(energy, used["bias"].values.astype(float), used["k"].values)
    none = np.zeros_like(k)
    middle, damped = used["bias"].values.astype(float), used["damping"].values
    speed = np.abs(band.velocity(middle, damped, used["k"].values, **fitted.values))
    width = float(np.median(speed * damped))
    inside = band.velocity(energy, none, k, **fitted.values)
    damping = width / np.maximum(np.abs(np.nan_to_num(inside)), 1e-3)
    numbers = band.wave_number(energy, none, k, **fitted.values)
    # Beyond the band's edge there are no waves to go anywhere.
    weights = np.where(numbers > _MIN_WAVE_NUMBER, weights, 0.0)
    numbers = np.maximum(numbers, _MIN_WAVE_NUMBER)

    poles = (numbers + 1j * damping).astype(np.complex128)

    def waves(distances: Array) -> Complex:
        """Average the waves over the energies, (distance,)."""
        at = np.multiply.outer(poles, distances)
        return np.asarray(0.5 * weights @ outgoing_waves(at, kind))

    return waves


def reaches(setpoint: SetPoint, band: DispersionModel, fitted: FittedBand) -> bool:
    """Tell whether the band reaches from the Fermi level to a set-point."""
    energy = np.array([0.0, setpoint.bias])
    found = band.wave_number(energy, np.zeros(2), np.ones(2), **fitted.values)
    return bool((found > _MIN_WAVE_NUMBER).all())
