"""Tables of a dispersion, the same in reports, in figures and on the clipboard."""

from __future__ import annotations

import numpy as np
import xarray as xr

from qpi_kernels.inspect.dispersion.errors import DispersionError
from qpi_kernels.inspect.dispersion.result import Dispersion

__all__ = ["parameter_table", "scattering_vectors", "spreadsheet_text", "wave_table"]


def parameter_table(dispersion: Dispersion) -> xr.Dataset:
    """Tabulate the fitted parameters: ``value``, ``error`` and ``unit`` over ``parameter``."""
    names = list(dispersion.parameters)
    return xr.Dataset(
        {
            "value": ("parameter", [dispersion.parameters[name] for name in names]),
            "error": ("parameter", [dispersion.errors[name] for name in names]),
            "unit": ("parameter", [dispersion.units[name] for name in names]),
        },
        coords={"parameter": names},
        attrs={
            "model": dispersion.model,
            "method": dispersion.method,
            "reduced_chi2": dispersion.reduced_chi2,
            "p_value": dispersion.p_value,
        },
    )


def wave_table(dispersion: Dispersion) -> xr.Dataset:
    """Tabulate the waves of each bias, with their phase shift where the method gives it.

    Returns
    -------
    xarray.Dataset
        Wave numbers as of `Dispersion`, and ``phase_shift`` with ``phase_shift_std`` as of
        `radial_phase`, what should be known of it under ``comment`` in its attributes.
    """
    # lmfit comes with it.
    from qpi_kernels.inspect.dispersion.radial_phase import radial_phase

    waves = dispersion.wave_numbers
    try:
        shifts = radial_phase(dispersion)
    except DispersionError:
        return waves
    comment = " ".join(["The phase shift is known up to multiples of pi.", *shifts.notes])
    return waves.assign(
        phase_shift=shifts.phase.assign_attrs(comment=comment), phase_shift_std=shifts.std
    )


def scattering_vectors(dispersion: Dispersion) -> xr.Dataset:
    """Turn wave numbers into the q = 2k of backscattering.

    Returns
    -------
    xarray.Dataset
        In rad/nm: ``q_fitted`` and ``q_fitted_std`` over ``fitted_bias``, the biases used; where
        there is a band, its ``q_band`` over ``band_bias``.
    """
    used = dispersion.wave_numbers.isel(bias=np.flatnonzero(dispersion.wave_numbers["used"]))
    units = {"units": "rad/nm", "long_name": "2k"}
    bias_units = {"units": "V", "long_name": "bias"}
    found = {
        "q_fitted": ("fitted_bias", 2 * used["k"].values, units),
        "q_fitted_std": ("fitted_bias", 2 * used["k_std"].values, units),
    }
    places = {"fitted_bias": ("fitted_bias", used["bias"].values, bias_units)}
    if dispersion.curve.size:
        found["q_band"] = ("band_bias", 2 * dispersion.curve.values, units)
        places["band_bias"] = ("band_bias", dispersion.curve["bias"].values, bias_units)
    return xr.Dataset(found, coords=places)


def spreadsheet_text(dispersion: Dispersion) -> str:
    """Write parameters and waves of each bias as text with tabulators, units in the heads."""
    waves = wave_table(dispersion)
    units = {name: str(waves[name].attrs.get("units", "")) for name in waves}
    titles = {name: f"{name} ({unit})" if unit else str(name) for name, unit in units.items()}
    numbers = waves.to_dataframe()[list(waves)].rename(columns=titles)
    parameters = parameter_table(dispersion).to_dataframe()
    return "\n".join(part.to_csv(sep="\t") for part in (parameters, numbers))
