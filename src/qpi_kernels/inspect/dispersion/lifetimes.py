"""Self-energies, lifetimes and coherence lengths from the damping of waves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.inspect.dispersion.models import DispersionModel
from qpi_kernels.inspect.dispersion.parameter_fit import FittedBand

__all__ = ["HBAR_EV_FS", "inverse_or_limit", "with_lifetimes"]

Array = NDArray[np.float64]

HBAR_EV_FS = 0.6582119569


def with_lifetimes(
    table: xr.Dataset, band: DispersionModel, fitted: FittedBand | None
) -> xr.Dataset:
    r"""Add the band and what the damping means in it to a table of wave numbers.

    A Green's function with self-energy has its pole at ``E(k + i kappa) = E + i |Im Sigma|``, so
    :math:`|\mathrm{Im}\,\Sigma| = \hbar v \kappa` (exact for a parabola at the fitted Re k, and for
    a cone; else to first order in kappa). The errors are those of the damping, and of the velocity
    by the covariance of the band's parameters. Where damping or self-energy are smaller than their
    errors, coherence length or lifetime have a lower limit only, at two standard deviations. Below
    a band's edge there is no band.

    Parameters
    ----------
    table : Dataset
        Over ``bias`` with ``k``, ``damping`` and their errors.
    band : DispersionModel
        The band.
    fitted : FittedBand or None
        Its parameters; without it there is no velocity, hence neither self-energy nor lifetime.
    """
    table = table.copy()
    damping, error = table["damping"].values, table["damping_std"].values
    unknown = np.full(len(damping), np.nan)
    length, length_error, length_limit = inverse_or_limit(0.5, damping, error)
    k_band, band_error, velocity, energy_width, width_error = (unknown,) * 5
    if fitted is not None:
        energy, k = table["bias"].values.astype(float), table["k"].values
        kappa = np.where(np.isfinite(damping) & table["used"].values, damping, 0.0)
        at = (energy, kappa, k)
        k_band = band.wave_number(energy, kappa, k, **fitted.values)
        inside = np.where(k_band > 0, 1.0, np.nan)
        velocity = inside * band.velocity(energy, kappa, k, **fitted.values)
        speed_variance = _variance(fitted, partial(band.velocity, *at), len(k))
        band_error = inside * np.sqrt(_variance(fitted, partial(band.wave_number, *at), len(k)))
        k_band = inside * k_band
        energy_width = np.abs(velocity) * damping
        width_error = np.sqrt((velocity * error) ** 2 + damping**2 * speed_variance)
    lifetime, lifetime_error, lifetime_limit = inverse_or_limit(
        0.5 * HBAR_EV_FS, energy_width, width_error
    )
    columns = {
        "k_band": (k_band, "rad/nm", "wave number of the fitted band"),
        "k_band_std": (band_error, "rad/nm", "error of wave number of the fitted band"),
        "residual": (table["k"].values - k_band, "rad/nm", "wave number minus the fitted band"),
        "velocity": (velocity, "eV nm", "velocity dE/dk of the fitted band"),
        "coherence_length": (length, "nm", "coherence length 1/(2 Im k)"),
        "coherence_length_std": (length_error, "nm", "error of coherence length"),
        "coherence_length_limit": (length_limit, "nm", "lower limit of coherence length"),
        "self_energy": (energy_width, "eV", "|Im Sigma|"),
        "self_energy_std": (width_error, "eV", "error of |Im Sigma|"),
        "lifetime": (lifetime, "fs", "lifetime"),
        "lifetime_std": (lifetime_error, "fs", "error of lifetime"),
        "lifetime_limit": (lifetime_limit, "fs", "lower limit of lifetime"),
    }
    for name, (values, unit, title) in columns.items():
        table[name] = ("bias", values, {"units": unit, "long_name": title})
    return table


def inverse_or_limit(scale: float, value: Array, error: Array) -> tuple[Array, Array, Array]:
    """Divide by a damping or width, or bound the quotient from below.

    Returns
    -------
    quotient, error, limit : array
        NaN and the limit at two standard deviations where the value is smaller than its error; else
        the limit is NaN.
    """
    told = value > error
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient = np.where(told, scale / value, np.nan)
        limit = np.where(told, np.nan, scale / (value + 2 * error))
        return quotient, quotient * error / value, limit


def _variance(fitted: FittedBand, function: Callable[..., Array], size: int) -> Array:
    """Propagate the covariance of the band's parameters to a function of them, (size,)."""
    slopes = []
    for name in fitted.varied:
        step = 1e-4 * max(abs(fitted.values[name]), 1e-3)
        above, below = (
            function(**(fitted.values | {name: fitted.values[name] + sign * step}))
            for sign in (1, -1)
        )
        slopes.append((above - below) / (2 * step))
    if not slopes:
        return np.zeros(size)
    gradient = np.stack(slopes)
    return np.asarray(np.einsum("ab,aj,bj->j", fitted.covariance, gradient, gradient))
