"""`fit_dispersion`: from a kernel over bias to a band, its parameters and lifetimes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.inspect.dispersion.counted_work import CountedWork
from qpi_kernels.inspect.dispersion.errors import DispersionError
from qpi_kernels.inspect.dispersion.hankel.method import WaveNumbers, hankel_wave_numbers
from qpi_kernels.inspect.dispersion.hankel.wave_choice import choose_waves
from qpi_kernels.inspect.dispersion.instrument_effects import (
    energy_averages,
    reaches,
    setpoint_waves,
)
from qpi_kernels.inspect.dispersion.kernel_stack import kernel_stack, unusable_planes
from qpi_kernels.inspect.dispersion.lifetimes import with_lifetimes
from qpi_kernels.inspect.dispersion.models import DispersionModel, Waves, dispersion_model
from qpi_kernels.inspect.dispersion.parameter_fit import (
    FittedBand,
    check_parameters,
    fit_band,
    runaway,
)
from qpi_kernels.inspect.dispersion.result import Dispersion
from qpi_kernels.inspect.dispersion.ring_method import ring_wave_numbers
from qpi_kernels.inspect.dispersion_choices import Method
from qpi_kernels.progress import CancelToken, Event
from qpi_kernels.result import KernelResult

if TYPE_CHECKING:
    from qpi_kernels.simulate.scattering.instrument import EnergyResolution, SetPoint

__all__ = ["fit_dispersion"]

Array = NDArray[np.float64]
Held = dict[str, dict[str, Any]]

_CURVE_POINTS = 201
_ROUNDS = 6
# What fits usually take, for progress: fits of waves at each bias, and bands that are simulated.
_FITS_PER_BIAS, _BANDS_COMPARED = 4, 300
_SHRUNK = (
    "The prior of this kernel weakens what the map does not tell: broadenings may come out too "
    "large and warpings too small. Fit a kernel by method='least_squares'."
)
_WITHOUT_USE: Mapping[str, tuple[str, ...]] = {
    "hankel": (),
    "synthesis": ("waves", "resolution", "setpoint"),
    "ring": ("radii_nm", "waves", "resolution", "setpoint"),
}


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
    on_event: Callable[[Event], object] | None = None,
    cancel: CancelToken | None = None,
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
        Standard deviation of the kernel; a `KernelResult` has its own. ``ring`` does not use it.
    model : str or callable
        ``parabola`` (``mass`` in electron masses, negative for holes; ``onset`` in eV), ``dirac``
        (``velocity``, that is hbar v, in eV nm; ``dirac_point`` in eV), ``rashba`` (``mass``,
        ``onset``, ``alpha`` in eV nm), or a function ``E(k, **parameters)`` in eV of an array k in
        rad/nm. Dirac cones and functions are tried with waves that scatter back and with waves that
        do not, and the better is kept if chi-squared tells; the notes say.
        For ``method="synthesis"`` also ``elliptic`` (``mass_x``, ``mass_y``, ``onset``,
        ``angle_deg``, anticlockwise as seen) and ``warped`` (six-fold: ``mass``, ``onset``,
        ``warping``, ``angle_deg``), and functions that return a `simulate.Band` instead of E.
    method : {"hankel", "synthesis", "ring"}
        ``synthesis`` is for contours that are not round: kernels of the band are simulated and
        compared with the kernel pixel by pixel, in real space, with a free scattering amplitude
        per orbital and a free broadening at each bias. It takes some ten seconds. Give it a kernel
        by ``least_squares``: a prior biases broadenings and warpings.
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
        Lowest and highest values of parameters. By ``synthesis`` one that has them but no start
        value is searched for between them.
    resolution : EnergyResolution, optional
        Temperature and modulation, whose average over energies would pass for damping. Perfect
        when left out.
    setpoint : SetPoint, optional
        Set-point of maps at constant current, the same for all biases, that were not normalised:
        the waves of all energies up to it are fitted beside (see `SetPoint`). Without it they pass
        for waves of the bias and bias masses by several per cent. A set-point that follows the
        bias, as of maps taken one by one, is not described: normalise them.
    on_event : callable, optional
        Called with an `Event` for each bias whose waves are fitted, or for each simulated band.
    cancel : CancelToken, optional
        Stops between two of them.

    Returns
    -------
    Dispersion
        Biases without a trustworthy ring, or whose plane is constant or not finite, are left out
        and told.

    Raises
    ------
    DispersionError
        If the kernel, the model or its parameters do not fit together, or the method has no use for
        an option.
    Cancelled
        If ``cancel`` was used.

    Notes
    -----
    A tip or orbital of width s adds ``-2 k kappa s^2`` to the phase of C. Resolution and set-point
    need the band: it is fitted, and fitted again with them.
    """
    if method not in _WITHOUT_USE:
        raise DispersionError(f"there is no method {method!r}: choose hankel, synthesis or ring")
    options: dict[str, Any] = {
        "radii_nm": radii_nm, "waves": waves, "resolution": resolution, "setpoint": setpoint,
    }  # fmt: skip
    idle = [name for name in _WITHOUT_USE[method] if options[name] is not None]
    if idle:
        raise DispersionError(f"method={method!r} has no use for {', '.join(idle)}: leave it out")
    every, deviation = kernel_stack(kernel, std, kind=kind, bias_range=bias_range)
    reasons = unusable_planes(every, deviation)
    good = [not reason for reason in reasons]
    if not any(good):
        raise DispersionError(f"no plane of the kernel can be fitted: {reasons[0]}")
    stack = every.isel(bias=good)
    deviation = None if deviation is None else deviation.isel(bias=good)
    held: Held = {
        "initial": dict(initial or {}),
        "fixed": dict(fixed or {}),
        "bounds": dict(bounds or {}),
    }
    typical = _BANDS_COMPARED if method == "synthesis" else _FITS_PER_BIAS * len(stack)
    work = CountedWork(typical, on_event, cancel)
    if method == "synthesis":
        from qpi_kernels.inspect.dispersion.synthesis.method import synthesised_dispersion

        found = synthesised_dispersion(
            stack, deviation, model=model, kind=kind, radii_nm=radii_nm, work=work, **held
        )
        if isinstance(kernel, KernelResult) and kernel.draws is not None:
            found = replace(found, notes=(*found.notes, _SHRUNK))
        return _with_left_out(found, every["bias"], reasons)
    band = dispersion_model(model, held["initial"])
    if len(stack) >= _min_biases(band, held):
        # Else a misspelt name would only be told after the waves of all biases are fitted.
        check_parameters(band, **held)
    if method == "ring":
        fit = _with_band(ring_wave_numbers(stack), band, held)
        notes: tuple[str, ...] = ()
    else:
        fit, notes = _hankel(stack, deviation, band, held, work, **options)
    return _with_left_out(_result(fit, band, method, kind, notes), every["bias"], reasons)


class _Fit(NamedTuple):
    """Wave numbers, their band, and why there is none."""

    numbers: WaveNumbers
    fitted: FittedBand | None
    why: str


def _hankel(
    stack: xr.DataArray,
    deviation: xr.DataArray | None,
    band: DispersionModel,
    held: Held,
    work: CountedWork,
    *,
    waves: Waves | None,
    radii_nm: tuple[float, float] | None,
    resolution: EnergyResolution | None,
    setpoint: SetPoint | None,
) -> tuple[_Fit, tuple[str, ...]]:
    """Fit waves and band, in turns where the instrument needs the band; return notes too."""
    notes: list[str] = []
    shape = waves or band.waves[0]
    if waves is None and len(band.waves) > 1:
        shape, note = choose_waves(band.waves, stack, deviation, radii_nm, work)
        notes.append(note)
    numbers = hankel_wave_numbers(stack, deviation, waves=shape, radii_nm=radii_nm, work=work)
    fit = _with_band(numbers, band, held)
    for _ in range(_ROUNDS if resolution or setpoint else 0):
        if fit.fitted is None:
            break
        before = fit.fitted
        numbers = hankel_wave_numbers(
            stack,
            deviation,
            waves=shape,
            radii_nm=radii_nm,
            averaged=energy_averages(resolution, fit.numbers.table, band, before),
            others=setpoint_waves(setpoint, fit.numbers.table, band, before, shape),
            background_nm=None if setpoint else numbers.table.attrs["background_nm"],
            work=work,
        )
        fit = _with_band(numbers, band, held)
        if fit.fitted is None or fit.fitted.near(before):
            break
    table = fit.numbers.table
    if "core_nm" in table.attrs:
        notes.append(
            f"The defect's core shows up to {table.attrs['core_nm']:.2g} nm; what is left of it "
            "may bias the band by some per cent."
        )
    if table.attrs["background_nm"]:
        notes.append(f"A background exp(-r/{table.attrs['background_nm']:.2g} nm) is fitted too.")
    if resolution is None or fit.fitted is None:
        notes.append("No instrumental width was taken off the damping.")
    if setpoint is not None and fit.fitted is None:
        notes.append("Waves of the set-point were not told from those of the bias.")
    elif setpoint is not None and fit.fitted and not reaches(setpoint, band, fit.fitted):
        notes.append(
            "The set-point lies beyond the band's edge, where its waves are not described: trust "
            "neither parameters nor phases."
        )
    elif setpoint is not None:
        notes.append(
            f"Waves of all energies up to the set-point, {setpoint.bias:g} V, are fitted too."
        )
    if band.name == "rashba":
        notes.append(
            "Waves of a Rashba band mix two wave numbers, where one is fitted: phases may be off "
            "by 0.3 rad and self-energies by 20 %."
        )
    return fit, tuple(notes)


def _min_biases(band: DispersionModel, held: Held) -> int:
    """Count the biases that a band's free parameters need."""
    return max(len(band.units) - len(held["fixed"]), 1)


def _with_band(numbers: WaveNumbers, band: DispersionModel, held: Held) -> _Fit:
    """Fit the band to the wave numbers that are used."""
    table = numbers.table
    good = table.isel(bias=table["used"].values)
    energy = good["bias"].values.astype(float)
    few = len(energy) < _min_biases(band, held)
    if few or not np.isfinite(energy).all() or np.ptp(energy) == 0:
        return _Fit(numbers, None, f"{len(energy)} usable biases give no dispersion")
    damping = np.nan_to_num(good["damping"].values)
    fitted = fit_band(band, energy, good["k"].values, good["k_std"].values, damping, **held)
    away = runaway(band, fitted)
    if away:
        why = f"The fit of {band.name} ran away to {away} (give start values or bounds)"
        return _Fit(numbers, None, why)
    return _Fit(numbers, fitted, "")


def _with_left_out(found: Dispersion, bias: xr.DataArray, reasons: Sequence[str]) -> Dispersion:
    """Add the biases whose planes could not be fitted, with the reason."""
    if not any(reasons):
        return found
    table = found.wave_numbers.reindex(bias=bias)
    known = dict(
        zip(found.wave_numbers["bias"].values, found.wave_numbers["reason"].values, strict=True)
    )
    why = [reason or known[at] for at, reason in zip(bias.values.tolist(), reasons, strict=True)]
    table["reason"] = table["reason"].copy(data=np.array(why, object))
    table["used"] = found.wave_numbers["used"].reindex(bias=bias, fill_value=False)
    contours, images = found.contours, found.synthesised
    return replace(
        found,
        wave_numbers=table,
        profiles=found.profiles.reindex(bias=bias),
        contours=None if contours is None else contours.reindex(bias=bias),
        synthesised=None if images is None else images.reindex(bias=bias),
    )


def _result(
    fit: _Fit, band: DispersionModel, method: str, kind: str | None, notes: tuple[str, ...]
) -> Dispersion:
    """Assemble the result."""
    fitted = fit.fitted
    table = with_lifetimes(fit.numbers.table, band, fitted)
    energy = table["bias"].values.astype(float)
    if fitted is None:
        notes = (f"{fit.why}: only wave numbers are told.", *notes)
        curve = xr.DataArray(np.zeros(0), dims="bias", coords={"bias": np.zeros(0)}, name="k")
        parameters, errors, covariance = {}, {}, np.zeros((0, 0))
        chi2 = reduced = p_value = float("nan")
    else:
        fine = np.linspace(energy.min(), energy.max(), _CURVE_POINTS)
        used = table.isel(bias=table["used"].values)
        near, none = np.interp(fine, used["bias"], used["k"]), np.zeros(_CURVE_POINTS)
        k = band.wave_number(fine, none, near, **fitted.values)
        curve = xr.DataArray(
            np.where(k > 0, k, np.nan),
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
        profiles=fit.numbers.profiles,
        chi2=chi2,
        reduced_chi2=reduced,
        p_value=p_value,
        curve=curve.assign_attrs(units="rad/nm", long_name="wave number of the fitted band"),
        notes=notes,
        kind=kind,
    )
