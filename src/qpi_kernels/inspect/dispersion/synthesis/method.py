"""Dispersion of a band of any shape from simulated kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import scipy.stats
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.inspect.dispersion.counted_work import CountedWork
from qpi_kernels.inspect.dispersion.errors import DispersionError
from qpi_kernels.inspect.dispersion.hankel.method import hankel_wave_numbers
from qpi_kernels.inspect.dispersion.lifetimes import HBAR_EV_FS, inverse_or_limit
from qpi_kernels.inspect.dispersion.models import dispersion_model
from qpi_kernels.inspect.dispersion.parameter_fit import fit_band
from qpi_kernels.inspect.dispersion.radial_mean import radial_mean
from qpi_kernels.inspect.dispersion.result import Dispersion
from qpi_kernels.inspect.dispersion.synthesis.bands import BandModel, band_model
from qpi_kernels.inspect.dispersion.synthesis.comparison import (
    Comparison,
    Synthesis,
    fit_synthesis,
    search_start,
)
from qpi_kernels.inspect.dispersion.synthesis.contours import (
    ANGLES_DEG,
    contour_wave_numbers,
    mean_wave_number,
)

__all__ = ["synthesised_dispersion"]

Array = NDArray[np.float64]

_CORE_NM = 0.8
_CURVE_POINTS = 41
_STEP = 1e-3
# Of wave numbers that may tell where to begin.
_MAX_ERROR_SHARE = 0.3
# Below this reduced chi-squared no other start is tried.
_GOOD = 1.2


def synthesised_dispersion(
    kernel: xr.DataArray,
    std: xr.DataArray | None,
    *,
    model: str | Callable[..., Any],
    kind: str | None,
    radii_nm: tuple[float, float] | None,
    initial: Mapping[str, float],
    fixed: Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
    work: CountedWork,
) -> Dispersion:
    """Fit a band by simulated kernels and assemble the result; see `fit_dispersion`.

    Raises
    ------
    DispersionError
        If the energies are not known, the pixels are not square, or a start value is missing.
    SimulationError
        If the band of the start values can not be simulated.
    """
    energies = kernel["bias"].values.astype(float)
    if not np.isfinite(energies).all():
        raise DispersionError("the kernel has no bias coordinate: assign_coords(bias=...) in V")
    pitches = [abs(float(kernel[axis][1] - kernel[axis][0])) for axis in "yx"]
    if not np.isclose(pitches[0], pitches[1], rtol=1e-3):
        raise DispersionError("the synthesis needs square pixels: resample the kernel")
    if any(abs(float(kernel[axis][kernel.sizes[axis] // 2])) > 1e-6 * pitches[0] for axis in "yx"):
        raise DispersionError("the defect must be the pixel (h//2, w//2), with y = x = 0")
    near, far = radii_nm or (max(_CORE_NM, 2 * pitches[0]), np.inf)
    data = kernel.values.astype(float)
    if std is None:
        # Equal weights; the residual tells the errors.
        spread = data.std(axis=(-2, -1), keepdims=True)
        errors = np.broadcast_to(np.maximum(spread, 1e-300), data.shape)
    else:
        errors = np.maximum(std.values.astype(float), 1e-12 * np.abs(data).max() + 1e-300)
    band = band_model(model)
    build = partial(band.build, **fixed)
    comparison = Comparison(build, energies, pitches[1], data, errors, (near, far), work=work)
    if not comparison.pixels(np.inf).any():
        raise DispersionError(f"no pixel lies from {near:g} to {far:g} nm: change radii_nm")
    limits = _limits(band, kernel, std, initial, fixed, bounds, (near, far), work)
    limits = {name: limit for name, limit in limits.items() if name not in fixed}
    starts = search_start(comparison, initial, limits)
    fits: list[Synthesis] = []
    for start in starts:
        fits.append(fit_synthesis(comparison, start, bounds))
        if std is not None and float(fits[-1].chi2.mean()) < _GOOD * fits[-1].degrees:
            break
    found = min(fits, key=lambda one: float(one.chi2.sum()))
    return _result(kernel, std, comparison, band, found, fixed, kind)


def _limits(
    band: BandModel,
    kernel: xr.DataArray,
    std: xr.DataArray | None,
    initial: Mapping[str, float],
    fixed: Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
    radii: tuple[float, float],
    work: CountedWork,
) -> dict[str, tuple[float, float]]:
    """Bound the parameters to search, with a parabola through the angular mean where it helps."""
    unknown = [name for name in (*initial, *fixed, *bounds) if name not in band.units]
    if unknown:
        raise DispersionError(
            f"{band.name} has no parameter {unknown[0]!r}: its parameters are "
            f"{', '.join(band.units)}"
        )
    limits = dict(band.bounds) | dict(bounds)
    known = {*initial, *fixed, *limits, *band.defaults}
    missing = [name for name in band.units if name not in known]
    if missing and band.isotropic:
        # Of a contour that is not round the angular mean fades early: no ring is left out.
        table = hankel_wave_numbers(kernel, std, radii_nm=radii, work=work).table
        chosen = table["used"].values
        if chosen.sum() <= 2:
            # What shows no ring of its own will do for a start.
            chosen = (table["k_std"] < _MAX_ERROR_SHARE * table["k"]).values
        good = table.isel(bias=chosen)
        if good.sizes["bias"] > 2:
            energy, k, error = (good[name].values.astype(float) for name in ("bias", "k", "k_std"))
            mean = fit_band(
                dispersion_model("parabola", {}), energy, k, error, good["damping"].values,
                initial={}, fixed={}, bounds={},
            ).values  # fmt: skip
            around = band.around(mean["mass"], mean["onset"], (energy.min(), energy.max()))
            limits = around | dict(bounds)
            missing = []
    if missing:
        raise DispersionError(
            f"the synthesis must know where to begin: give initial={{{missing[0]!r}: ...}} or "
            f"bounds={{{missing[0]!r}: (low, high)}}"
        )
    return limits


def _result(
    kernel: xr.DataArray,
    std: xr.DataArray | None,
    comparison: Comparison,
    band: BandModel,
    found: Synthesis,
    fixed: Mapping[str, float],
    kind: str | None,
) -> Dispersion:
    """Assemble the result."""
    fit, values = found.fit, found.band
    linear = 2 * found.amplitudes.size + len(found.amplitudes)
    chi2, degrees = float(found.chi2.sum()), int(fit.nfree) - linear
    reduced = chi2 / degrees
    # Without errors of the kernel the residual tells them.
    excess = reduced if std is None else max(reduced, 1.0)
    covariance = found.covariance * excess
    varied = [name for name in band.units if name in values]
    values, named = (values, {}) if fixed else band.canonical(values)
    chosen = [fit.var_names.index(named.get(name, name)) for name in varied]
    widths_error = np.sqrt(np.diag(covariance))[len(varied) :]
    covariance = covariance[np.ix_(chosen, chosen)]
    values = {**values, **fixed}
    values = {name: values[name] for name in band.units if name in values}
    errors = dict(zip(varied, np.sqrt(np.diag(covariance)).tolist(), strict=True))
    largest = np.pi / comparison.pixel_nm
    fine = np.linspace(comparison.energies.min(), comparison.energies.max(), _CURVE_POINTS)
    curve = mean_wave_number(contour_wave_numbers(band.build(**values), fine, largest))
    table, contours = _tables(
        kernel, comparison, band, values, found, varied, covariance, widths_error
    )
    notes = [
        "Kernels were simulated and compared in real space; chi-squared is that of the pixels.",
        "k is that of a circle with as many states; `contours` has it for every direction.",
        "No instrumental width was taken off the broadening.",
    ]
    lowest = comparison.widths(band.build(**values))[1]
    bound = int((found.widths < 1.05 * lowest).sum())
    if bound:
        notes.append(f"The broadening of {bound} biases is at its lower limit: too little to tell.")
    return Dispersion(
        model=band.name,
        method="synthesis",
        parameters=values,
        errors={name: errors.get(name, 0.0) for name in values},
        units=dict(band.units),
        covariance=covariance,
        wave_numbers=table,
        profiles=_profiles(kernel, std, found),
        chi2=chi2,
        reduced_chi2=reduced,
        p_value=float("nan") if std is None else float(scipy.stats.chi2.sf(chi2, degrees)),
        curve=xr.DataArray(
            curve, dims="bias", coords={"bias": ("bias", fine, {"units": "V"})}, name="k",
            attrs={"units": "rad/nm", "long_name": "wave number of the fitted band"},
        ),
        notes=tuple(notes),
        kind=kind,
        contours=contours,
        synthesised=kernel.copy(data=found.synthesised).assign_attrs(
            units=kernel.attrs.get("units", ""), long_name="kernel of the fitted band"
        ),
    )  # fmt: skip


def _tables(
    kernel: xr.DataArray,
    comparison: Comparison,
    band: BandModel,
    values: dict[str, float],
    found: Synthesis,
    varied: list[str],
    covariance: Array,
    widths_error: Array,
) -> tuple[xr.Dataset, xr.Dataset]:
    """Tabulate wave numbers, broadenings and amplitudes, and contours, with errors."""
    energies, largest = comparison.energies, np.pi / comparison.pixel_nm

    def outlined(**moved: float) -> Array:
        """Compute the contours with some of the parameters changed."""
        return contour_wave_numbers(band.build(**{**values, **moved}), energies, largest)

    outline = outlined()
    k = mean_wave_number(outline)
    slopes = []
    for name in varied:
        step = _STEP * max(abs(values[name]), 1e-2)
        slopes.append((outlined(**{name: values[name] + step}) - outline) / step)
    gradient = np.stack(slopes) if slopes else np.zeros((0, *outline.shape))
    outline_error = np.sqrt(np.einsum("pq,pba,qba->ba", covariance, gradient, gradient))
    towards = (outline * gradient).mean(axis=-1) / k
    k_error = np.sqrt(np.einsum("pq,pb,qb->b", covariance, towards, towards))
    beside = [
        mean_wave_number(contour_wave_numbers(band.build(**values), energies + step, largest))
        for step in (-_STEP, _STEP)
    ]
    speed = np.abs(2 * _STEP / (beside[1] - beside[0]))
    widths = found.widths
    damping, damping_error = widths / speed, widths_error / speed
    lifetime, lifetime_error, lifetime_limit = inverse_or_limit(
        0.5 * HBAR_EV_FS, widths, widths_error
    )
    length, length_error, length_limit = inverse_or_limit(0.5, damping, damping_error)
    # C of the other methods is the amplitude of the returning wave, whose phase is that of -i T.
    amplitude = -1j * found.amplitudes.mean(axis=1)
    unknown = np.full(len(k), np.nan)
    columns = {
        "k": (k, "rad/nm", "wave number"),
        "k_std": (k_error, "rad/nm", "error of wave number"),
        "damping": (damping, "rad/nm", "damping Im k"),
        "damping_std": (damping_error, "rad/nm", "error of damping Im k"),
        "self_energy": (widths, "eV", "|Im Sigma|"),
        "self_energy_std": (widths_error, "eV", "error of |Im Sigma|"),
        "lifetime": (lifetime, "fs", "lifetime"),
        "lifetime_std": (lifetime_error, "fs", "error of lifetime"),
        "lifetime_limit": (lifetime_limit, "fs", "lower limit of lifetime"),
        "coherence_length": (length, "nm", "coherence length 1/(2 Im k)"),
        "coherence_length_std": (length_error, "nm", "error of coherence length"),
        "coherence_length_limit": (length_limit, "nm", "lower limit of coherence length"),
        "amplitude": (np.abs(amplitude), "", "amplitude |C|"),
        "phase": (np.angle(amplitude), "rad", "phase of C"),
        "k_band": (k, "rad/nm", "wave number of the fitted band"),
        "residual": (unknown, "rad/nm", "wave number minus the fitted band"),
        "chi2": (found.chi2 / found.degrees, "", "chi-squared per free pixel"),
        "used": (np.ones(len(k), bool), "", "fitted by the band"),
        "reason": (np.array([""] * len(k), object), "", "left out"),
    }  # fmt: skip
    table = xr.Dataset(coords={"bias": kernel["bias"]})
    for name, (numbers, unit, title) in columns.items():
        table[name] = ("bias", numbers, {"units": unit, "long_name": title})
    directions = {"units": "deg", "long_name": "direction, anticlockwise as seen"}
    contours = xr.Dataset(
        {
            "k": (
                ("bias", "angle"), outline,
                {"units": "rad/nm", "long_name": "wave number along a direction"},
            ),
            "k_std": (
                ("bias", "angle"), outline_error,
                {"units": "rad/nm", "long_name": "error of wave number along a direction"},
            ),
        },
        coords={"bias": kernel["bias"], "angle": ("angle", ANGLES_DEG, directions)},
    )  # fmt: skip
    return table, contours


def _profiles(kernel: xr.DataArray, std: xr.DataArray | None, found: Synthesis) -> xr.Dataset:
    """Average kernel and synthesised kernel over rings."""
    unit = kernel.attrs.get("units", "")
    synthesised = kernel.copy(data=found.synthesised)
    rings, fitted = radial_mean(kernel, std), radial_mean(synthesised, None)
    profiles = xr.Dataset(
        {
            "mean": (("bias", "r"), rings.mean),
            "std": (("bias", "r"), rings.error),
            "fitted": (("bias", "r"), fitted.mean),
        },
        coords={
            "bias": kernel["bias"],
            "r": ("r", rings.radius, {"units": "nm", "long_name": "distance"}),
        },
    )
    for name in profiles:
        profiles[name].attrs = {"units": unit, "long_name": f"angular mean of the kernel, {name}"}
    return profiles
