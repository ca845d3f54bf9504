"""Fit of a dispersion to wave numbers: the error is in k, not in E."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import lmfit
import numpy as np
import scipy.stats
from numpy.typing import NDArray

from qpi_kernels.inspect.dispersion.errors import DispersionError
from qpi_kernels.inspect.dispersion.models import DispersionModel

__all__ = ["FittedBand", "check_parameters", "fit_band", "runaway"]

Array = NDArray[np.float64]

_SETTLED = 0.05
# Beyond these a search has run away.
_MASSES, _MAX_ENERGY_EV = (1e-3, 1e3), 100.0


@dataclass(frozen=True, eq=False)
class FittedBand:
    """Parameters of a dispersion.

    Parameters
    ----------
    values : dict of str to float
        All parameters, those held fixed too.
    varied : tuple of str
        Those that were fitted, in the order of the covariance.
    covariance : array, (varied, varied)
        Multiplied by the reduced chi-squared where that is larger than 1.
    chi2 : float
        Sum of squared residuals over errors of k.
    degrees : int
        Wave numbers minus fitted parameters.
    """

    values: dict[str, float]
    varied: tuple[str, ...]
    covariance: Array
    chi2: float
    degrees: int

    @property
    def errors(self) -> dict[str, float]:
        """Standard deviation of each parameter; 0 of one held fixed."""
        deviations = dict(zip(self.varied, np.sqrt(np.diag(self.covariance)), strict=True))
        return {name: float(deviations.get(name, 0.0)) for name in self.values}

    def near(self, other: FittedBand) -> bool:
        """Tell whether all parameters are the same to a small share of their errors."""
        return all(
            abs(self.values[name] - other.values[name]) <= _SETTLED * self.errors[name]
            for name in self.varied
        )

    @property
    def p_value(self) -> float:
        """Probability of a chi-squared at least as large, by chance."""
        return float(scipy.stats.chi2.sf(self.chi2, self.degrees)) if self.degrees else float("nan")


def check_parameters(
    model: DispersionModel,
    *,
    initial: Mapping[str, float],
    fixed: Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
) -> None:
    """Refuse parameters that a band has not, and a band of which one must be given.

    Raises
    ------
    DispersionError
        As `fit_band` does.
    """
    unknown = [name for name in (*initial, *fixed, *bounds) if name not in model.units]
    if unknown:
        raise DispersionError(
            f"{model.name} has no parameter {unknown[0]!r}: its parameters are "
            f"{', '.join(model.units)}"
        )
    if model.exclusive and not any(name in fixed for name in model.exclusive):
        raise DispersionError(
            f"the waves of {model.name} do not tell {' from '.join(model.exclusive)}: give one of "
            f"them, such as fixed={{{model.exclusive[-1]!r}: ...}}"
        )


def fit_band(
    model: DispersionModel,
    energy: Array,
    k: Array,
    error: Array,
    damping: Array,
    *,
    initial: Mapping[str, float],
    fixed: Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
) -> FittedBand:
    """Fit k(E) by least squares with lmfit.

    Parameters
    ----------
    model : DispersionModel
        Which band.
    energy, k, error, damping : array, (bias,)
        Energies in eV; wave numbers, their standard deviations and dampings in rad/nm.
    initial, fixed, bounds : mapping
        Start values, values to hold, and lowest and highest values.

    Raises
    ------
    DispersionError
        If a parameter has another name, or one of several that the waves do not tell apart must be
        given.
    """
    check_parameters(model, initial=initial, fixed=fixed, bounds=bounds)
    start = model.start(energy, k, 1 / error, fixed) | dict(initial) | dict(fixed)
    parameters = lmfit.Parameters()
    for name in model.units:
        low, high = bounds.get(name, (-np.inf, np.inf))
        parameters.add(name, value=start[name], vary=name not in fixed, min=low, max=high)

    def residual(values: lmfit.Parameters) -> Array:
        """Compute the weighted differences in k."""
        modelled = model.wave_number(energy, damping, k, **values.valuesdict())
        return np.asarray((k - modelled) / error)

    varied = tuple(name for name in model.units if name not in fixed)
    values = {name: float(value) for name, value in parameters.valuesdict().items()}
    if not varied:
        chi2 = float((residual(parameters) ** 2).sum())
        return FittedBand(values, (), np.zeros((0, 0)), chi2, len(k))
    found = lmfit.minimize(residual, parameters, method="leastsq", scale_covar=False)
    values = {name: float(value) for name, value in found.params.valuesdict().items()}
    covariance = getattr(found, "covar", None)
    if covariance is None:
        covariance = np.full((len(varied), len(varied)), np.nan)
    degrees = len(k) - len(varied)
    excess = max(float(found.chisqr) / degrees, 1.0) if degrees else 1.0
    return FittedBand(values, varied, np.asarray(covariance) * excess, float(found.chisqr), degrees)


def runaway(model: DispersionModel, fitted: FittedBand) -> str:
    """Name a fitted parameter that no band has, with its value; nothing where there is none."""
    for name in fitted.varied:
        value, unit = fitted.values[name], model.units[name]
        light = unit == "m_e" and not _MASSES[0] < abs(value) < _MASSES[1]
        if light or (unit == "eV" and not abs(value) < _MAX_ENERGY_EV):
            return f"{name} = {value:.2g} {unit}"
    return ""
