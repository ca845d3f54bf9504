"""`fit_dispersion`: from a kernel over bias to a band, its parameters and lifetimes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.inspect.dispersion.errors import DispersionError
from qpi_kernels.inspect.dispersion.hankel_method import WaveNumbers, hankel_wave_numbers
from qpi_kernels.inspect.dispersion.instrument_effects import (
    energy_averages,
    reaches,
    setpoint_waves,
)
from qpi_kernels.inspect.dispersion.kernel_stack import kernel_stack
from qpi_kernels.inspect.dispersion.lifetimes import with_lifetimes
from qpi_kernels.inspect.dispersion.models import DispersionModel, Waves, dispersion_model
from qpi_kernels.inspect.dispersion.parameter_fit import FittedBand, fit_band
from qpi_kernels.inspect.dispersion.result import Dispersion
from qpi_kernels.inspect.dispersion.ring_method import ring_wave_numbers
from qpi_kernels.result import KernelResult
from qpi_kernels.simulate.scattering.instrument import EnergyResolution, SetPoint

__all__ = ["fit_dispersion"]

Array = NDArray[np.float64]
Method = Literal["hankel", "synthesis", "ring"]

_CURVE_POINTS = 201
_ROUNDS = 6


def fit_dispersion(
    kernel: KernelResult | xr.DataArray,
    *,
    std: xr.DataArray | None = None,
    model: str | Callable[..., Any] = "parabola",
    method: Method = "hankel",
    kind: str | None = None,
    bias_range: tuple[float, float] | None = None,
    radii_nm: tuple[float, float] | None = None,
    initial: Mapping[str, float] | None = None,
    fixed: Mapping[str, float] | None = None,
    waves: Waves | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    resolution: EnergyResolution | None = None,
    setpoint: SetPoint | None = None,
) -> Dispersion:
    r"""Fit a band's dispersion, and lifetimes, to the standing waves of a kernel.

    Each bias first gives a complex wave number: the kernel's angular mean is fitted in real space
    by

    .. math:: \mathrm{Re}\{C\,[H_0^{(1)}((k + i\kappa) r)]^2\} + b

    the waves of a point scatterer in a band whose contour is round (T-matrix theory; Crommie, Lutz
    and Eigler, Nature 363, 524, 1993). The phase of C takes up the scattering phase, which
    displaces the maximum of \|FT\| from 2k and biases masses read there. The band is then fitted to
    k(E) by lmfit, weighted by the errors of k.

    The damping gives the self-energy, :math:`|\mathrm{Im}\,\Sigma| = \hbar v \kappa` with the
    fitted band's velocity: ``E + i Im Sigma = E(k + i kappa)``. The lifetime is
    :math:`\hbar / 2 |\mathrm{Im}\,\Sigma|`, the coherence length :math:`1 / 2\kappa`, the distance
    over which the density's ripples decay by e beside their :math:`1/r`.

    Parameters
    ----------
    kernel : KernelResult or DataArray
        A kernel ``(bias, y, x)``, or ``(y, x)``, which gives a wave number but no band; for
        ``method="ring"`` a map too. Lengths in nm from the defect.
    std : DataArray, optional
        Standard deviation of the kernel; a `KernelResult` has its own.
    model : str or callable
        ``parabola`` (``mass`` in electron masses, negative for holes; ``onset`` in eV), ``dirac``
        (``velocity``, that is hbar v, in eV nm; ``dirac_point`` in eV), ``rashba`` (``mass``,
        ``onset``, ``alpha`` in eV nm), or a function ``E(k, **parameters)`` in eV of an array k in
        rad/nm. Dirac cones and functions are tried with waves that scatter back and with waves that
        do not, and the better is kept.
        For ``method="synthesis"`` also ``elliptic`` (``mass_x``, ``mass_y``, ``onset``,
        ``angle_deg``, anticlockwise as seen) and ``warped`` (six-fold: ``mass``, ``onset``,
        ``warping``, ``angle_deg``), and functions that return a `simulate.Band` instead of E.
    method : {"hankel", "synthesis", "ring"}
        ``synthesis`` is for contours that are not round: kernels of the band are simulated and
        compared with the kernel pixel by pixel, in real space, with a free scattering amplitude
        per orbital and a free broadening at each bias. It takes some ten seconds.
        ``ring`` takes half the q of the maximum of \|FT\| for k, as is common, without damping: for
        comparison.
    kind : str, optional
        Which of several kinds of defects; each is fitted by its own.
    bias_range : (float, float), optional
        Lowest and highest bias in V; all when left out.
    radii_nm : (float, float), optional
        Distances from the defect to fit. From 0.8 nm, or where its core ends that shows beside the
        waves, to the window's edge when left out.
    initial, fixed : mapping, optional
        Start values, and values to hold. The waves of a Rashba band tell only the energy of its
        minimum: hold ``alpha`` or ``onset``.
    waves : {"scalar", "helical", "integrated"}, optional
        ``H0^2`` of states that scatter back; ``H0^2 + H1^2`` of states that do not; ``H0^2 / r``,
        the end of an integral over energies, as a topograph shows. The model's when left out.
    bounds : mapping, optional
        Lowest and highest values for ``method="synthesis"``. A parameter that has them but no start
        value is searched for between them.
    resolution : EnergyResolution, optional
        Temperature and modulation, whose average over energies would pass for damping. Perfect
        when left out.
    setpoint : SetPoint, optional
        Set-point of maps at constant current, the same for all biases, that were not normalised:
        the waves of all energies up to it are fitted beside (see `SetPoint`). Without it they pass
        for waves of the bias and bias masses by several per cent.

    Returns
    -------
    Dispersion
        Biases without a trustworthy ring are left out and told.

    Raises
    ------
    DispersionError
        If the kernel, the model or its parameters do not fit together.

    Notes
    -----
    A tip or orbital of width s adds ``-2 k kappa s^2`` to the phase of C. Resolution and set-point
    need the band: it is fitted, and fitted again with them.
    """
    stack, deviation = kernel_stack(kernel, std, kind=kind, bias_range=bias_range)
    initial, fixed = dict(initial or {}), dict(fixed or {})
    if method == "synthesis":
        from qpi_kernels.inspect.dispersion.synthesis.method import synthesised_dispersion

        return synthesised_dispersion(
            stack, deviation, model=model, kind=kind, radii_nm=radii_nm, initial=initial,
            fixed=fixed, bounds=bounds or {},
        )  # fmt: skip
    band = dispersion_model(model, initial)
    if method == "ring":
        found = _with_band(ring_wave_numbers(stack), band, initial, fixed)
        return _result(*found, band, method, kind, ())
    if method != "hankel":
        raise DispersionError(f"there is no method {method!r}: choose hankel, synthesis or ring")
    trials = []
    for shape in band.waves if waves is None else (waves,):
        numbers = hankel_wave_numbers(stack, deviation, waves=shape, radii_nm=radii_nm)
        numbers, fitted = _with_band(numbers, band, initial, fixed)
        for _ in range(_ROUNDS if resolution or setpoint else 0):
            if fitted is None:
                break
            before = fitted
            numbers = hankel_wave_numbers(
                stack,
                deviation,
                waves=shape,
                radii_nm=radii_nm,
                averaged=energy_averages(resolution, numbers.table, band, fitted),
                others=setpoint_waves(setpoint, numbers.table, band, fitted, shape),
            )
            numbers, fitted = _with_band(numbers, band, initial, fixed)
            if fitted is None or fitted.near(before):
                break
        trials.append((numbers, fitted, shape))
    numbers, fitted, shape = _best_trial(trials, stack, deviation)
    notes = []
    if shape == "helical" and waves is None:
        notes.append("Waves that do not scatter back (H0^2 + H1^2) fit best.")
    if "core_nm" in numbers.table.attrs:
        notes.append(f"The defect's core shows up to {numbers.table.attrs['core_nm']:.2g} nm.")
    if resolution is None:
        notes.append("No instrumental width was taken off the damping.")
    if setpoint is not None and fitted is not None and not reaches(setpoint, band, fitted):
        notes.append(
            "The set-point lies beyond the band's edge, where its waves are not described: trust "
            "neither parameters nor phases."
        )
    return _result(numbers, fitted, band, method, kind, tuple(notes))


def _best_trial(
    trials: list[tuple[WaveNumbers, FittedBand | None, Waves]],
    stack: xr.DataArray,
    deviation: xr.DataArray | None,
) -> tuple[WaveNumbers, FittedBand | None, Waves]:
    """Choose the kind of waves that fits best on the same rings.

    Waves of the wrong kind leave out many rings for those of a core.
    """
    if len(trials) == 1:
        return trials[0]
    radii = [one.profiles["r"].values for one, _, _ in trials]
    near, far = min(float(one[0]) for one in radii), max(float(one[-1]) for one in radii)

    def misfit(trial: tuple[WaveNumbers, FittedBand | None, Waves]) -> float:
        """Sum chi-squared per free ring over the biases."""
        same = hankel_wave_numbers(stack, deviation, waves=trial[2], radii_nm=(near, far))
        return float(same.table["chi2"].sum())

    return min(trials, key=misfit)


def _with_band(
    numbers: WaveNumbers, band: DispersionModel, initial: dict[str, float], fixed: dict[str, float]
) -> tuple[WaveNumbers, FittedBand | None]:
    """Fit the band to the wave numbers that are used; None where they are too few."""
    table = numbers.table
    good = table.isel(bias=table["used"].values)
    energy = good["bias"].values.astype(float)
    free = len(band.units) - len(fixed)
    if len(energy) < max(free, 1) or not np.isfinite(energy).all() or np.ptp(energy) == 0:
        return numbers, None
    damping = np.nan_to_num(good["damping"].values)
    fitted = fit_band(
        band, energy, good["k"].values, good["k_std"].values, damping, initial=initial, fixed=fixed
    )
    return numbers, fitted


def _result(
    numbers: WaveNumbers,
    fitted: FittedBand | None,
    band: DispersionModel,
    method: str,
    kind: str | None,
    notes: tuple[str, ...],
) -> Dispersion:
    """Assemble the result."""
    table = with_lifetimes(numbers.table, band, fitted)
    energy = table["bias"].values.astype(float)
    if fitted is None:
        count = int(table["used"].sum())
        notes = (f"{count} usable biases give no dispersion: only wave numbers are told.", *notes)
        curve = xr.DataArray(np.zeros(0), dims="bias", coords={"bias": np.zeros(0)}, name="k")
        parameters, errors, covariance = {}, {}, np.zeros((0, 0))
        chi2 = reduced = p_value = float("nan")
    else:
        fine = np.linspace(energy.min(), energy.max(), _CURVE_POINTS)
        near, none = np.interp(fine, energy, table["k_band"].values), np.zeros(_CURVE_POINTS)
        curve = xr.DataArray(
            band.wave_number(fine, none, near, **fitted.values),
            dims="bias",
            coords={"bias": ("bias", fine, {"units": "V"})},
            name="k",
        )
        parameters, errors, covariance = fitted.values, fitted.errors, fitted.covariance
        chi2, p_value = fitted.chi2, fitted.p_value
        reduced = chi2 / fitted.degrees if fitted.degrees else float("nan")
    return Dispersion(
        model=band.name,
        method=method,
        parameters=parameters,
        errors=errors,
        units=dict(band.units),
        covariance=covariance,
        wave_numbers=table,
        profiles=numbers.profiles,
        chi2=chi2,
        reduced_chi2=reduced,
        p_value=p_value,
        curve=curve.assign_attrs(units="rad/nm", long_name="wave number of the fitted band"),
        notes=notes,
        kind=kind,
    )
