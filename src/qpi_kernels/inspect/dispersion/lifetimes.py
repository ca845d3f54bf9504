"""Self-energies, lifetimes and coherence lengths from the damping of waves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.inspect.dispersion.models import DispersionModel
from qpi_kernels.inspect.dispersion.parameter_fit import FittedBand

__all__ = ["HBAR_EV_FS", "with_lifetimes"]

Array = NDArray[np.float64]

HBAR_EV_FS = 0.6582119569


def with_lifetimes(
    table: xr.Dataset, band: DispersionModel, fitted: FittedBand | None
) -> xr.Dataset:
    r"""Add the band and what the damping means in it to a table of wave numbers.

    A Green's function with self-energy has its pole at ``E(k + i kappa) = E + i |Im Sigma|``, so
    :math:`|\mathrm{Im}\,\Sigma| = \hbar v \kappa` (exact for a parabola at the fitted Re k, and for
    a cone; else to first order in kappa). The errors are those of the damping, and of the velocity
    by the covariance of the band's parameters.

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
    with np.errstate(divide="ignore", invalid="ignore"):
        length = np.where(damping == 0, np.inf, 0.5 / damping)
        length_error = length * error / damping
    k_band, band_error, energy_width, width_error = (unknown,) * 4
    if fitted is not None:
        energy, k = table["bias"].values.astype(float), table["k"].values
        kappa = np.where(np.isfinite(damping), damping, 0.0)
        k_band = band.wave_number(energy, kappa, k, **fitted.values)
        speed = np.abs(band.velocity(energy, kappa, k, **fitted.values))
        at = (energy, kappa, k)
        speed_variance = _variance(fitted, partial(band.velocity, *at), len(k))
        band_error = np.sqrt(_variance(fitted, partial(band.wave_number, *at), len(k)))
        energy_width = speed * damping
        width_error = np.sqrt((speed * error) ** 2 + damping**2 * speed_variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        lifetime = np.where(energy_width > 0, HBAR_EV_FS / (2 * energy_width), np.inf)
        lifetime[~np.isfinite(energy_width)] = np.nan
        lifetime_error = lifetime * width_error / energy_width
    columns = {
        "k_band": (k_band, "rad/nm", "wave number of the fitted band"),
        "k_band_std": (band_error, "rad/nm", "error of wave number of the fitted band"),
        "residual": (table["k"].values - k_band, "rad/nm", "wave number minus the fitted band"),
        "coherence_length": (length, "nm", "coherence length 1/(2 Im k)"),
        "coherence_length_std": (length_error, "nm", "error of coherence length"),
        "self_energy": (energy_width, "eV", "|Im Sigma|"),
        "self_energy_std": (width_error, "eV", "error of |Im Sigma|"),
        "lifetime": (lifetime, "fs", "lifetime"),
        "lifetime_std": (lifetime_error, "fs", "error of lifetime"),
    }
    for name, (values, unit, title) in columns.items():
        table[name] = ("bias", values, {"units": unit, "long_name": title})
    return table


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
