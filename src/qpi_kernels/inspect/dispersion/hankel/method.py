"""Wave numbers of all biases from the kernel's angular mean in real space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import scipy.stats
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.inspect.dispersion.counted_work import CountedWork
from qpi_kernels.inspect.dispersion.errors import DispersionError
from qpi_kernels.inspect.dispersion.hankel.waves import (
    EnergyAverage,
    FittedWaves,
    WaveBasis,
    fit_waves,
    search_waves,
    shape_gain,
    waveless_chi2,
)
from qpi_kernels.inspect.dispersion.models import Waves
from qpi_kernels.inspect.dispersion.radial_mean import RadialMean, angular_power, radial_mean

__all__ = ["WaveNumbers", "hankel_wave_numbers"]

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

# Closer in, the waves are not the defect's only trace.
_CORE_NM, _CORE_PX, _CORE_SHARE = 0.8, 2.0, 1 / 3
_POINTS_PER_WAVE = 6
# Four parameters lower chi-squared by about 4 by chance, and by some 20 where the best of many wave
# numbers is taken; in errors that gather at the wave's q by more.
_MIN_GAIN = 25.0
_MAX_ERROR_SHARE = 0.2
_MIN_RINGS = 8
# A core is looked for in so many rings, left out in steps, up to a share of the window. It shows by
# the ratio of mean squares beyond a quantile, by more than rounding.
_CORE_RINGS, _CORE_STEP, _MAX_CORE_SHARE, _CORE_LEVEL, _MIN_CORE = 3, 2, 0.5, 0.99, 0.02
_MAX_INDEPENDENT_CHI2 = 2.0
# A background exp(-r / length) is tried with these shares of the window for length, and kept where
# it lowers chi-squared as chance would in one of 100 000 kernels.
_BACKGROUNDS, _BACKGROUND_LEVEL, _WORTH_A_TRIAL = (1 / 8, 1 / 3), 1e-5, 0.05


class WaveNumbers(NamedTuple):
    """Wave numbers of all biases: a table over ``bias``, and the profiles that they fit."""

    table: xr.Dataset
    profiles: xr.Dataset


def hankel_wave_numbers(
    kernel: xr.DataArray,
    std: xr.DataArray | None,
    *,
    waves: Waves = "scalar",
    radii_nm: tuple[float, float] | None = None,
    averaged: Sequence[EnergyAverage] | None = None,
    others: Callable[[Array], Complex] | None = None,
    alike: bool | None = None,
    background_nm: float | None = None,
    work: CountedWork | None = None,
) -> WaveNumbers:
    """Fit Hankel functions to the angular mean of every bias.

    Parameters
    ----------
    kernel, std : DataArray, (bias, y, x)
        With coordinates in nm. The errors of pixels are taken for independent if chi-squared
        agrees (per free ring at most 2, median of the biases), as after plain least squares. Else
        those of a ring's pixels are taken for one and the same, as a prior makes them. Where
        chi-squared per free ring is larger than 1, it widens the errors.
    waves : {"scalar", "helical", "integrated"}
        See `WaveBasis`.
    radii_nm : (float, float), optional
        Radii to fit. To the window's edge when left out, and from 0.8 nm (at least 2 pixels, at
        most a third of the window) or from where the defect's core shows no more: where the
        residual of the three innermost rings is no larger than that of the others, and two rings
        less do not halve chi-squared.
    averaged : sequence of EnergyAverage, optional
        What the instrument averages over at each bias.
    others : callable, optional
        Complex waves over distances in nm that every bias shows too, with a free amplitude.
    alike : bool, optional
        Take the errors of a ring's pixels for one and the same, or for independent, whatever
        chi-squared says.
    background_nm : float, optional
        Fit ``exp(-r / background_nm)`` beside, 0 for none. When left out, chi-squared tells.
    work : CountedWork, optional
        Told of each bias that is fitted.

    Notes
    -----
    A bias is used where waves lower chi-squared by 25 below anything that falls without a wave, in
    errors no smaller than those at the wave's q, where at least one standing wave lies between the
    radii, and where k is known to 20 %.
    """
    work = work or CountedWork()
    every = radial_mean(kernel, std)
    step = float(abs(kernel["x"][1] - kernel["x"][0]))
    reach = float(every.radius[-1])
    inner = min(max(_CORE_NM, _CORE_PX * step), _CORE_SHARE * reach)
    near, far = radii_nm or (inner, reach)
    rings = every.between(near, far)
    if len(rings.radius) < _MIN_RINGS:
        raise DispersionError(
            f"there are {len(rings.radius)} rings from {near:.3g} to {far:.3g} nm, at least "
            f"{_MIN_RINGS} are needed: extract a larger kernel"
        )
    # Half a standing wave must fit between the radii, and two pixels into one.
    limits = (np.pi / (2 * float(np.ptp(rings.radius))), np.pi / (2 * step))
    averages = [None] * len(every.mean) if averaged is None else averaged

    def shapes(rings: RadialMean, length: float) -> WaveBasis:
        """Make the waves, with a background of a length beside if it is not 0."""
        beside = []
        if others is not None:
            shared = others(rings.distances)
            beside += [shared.real, -shared.imag]
        if length:
            beside.append(np.exp(-rings.distances / length))
        return WaveBasis(rings, waves, others=np.column_stack(beside) if beside else None)

    def fit(rings: RadialMean, length: float) -> list[FittedWaves]:
        """Fit every bias."""
        basis = shapes(rings, length)
        points = int(_POINTS_PER_WAVE * limits[1] * float(np.ptp(rings.radius)) / np.pi) + 20
        starts, fits = search_waves(basis, limits, points), []
        for average, mean, error, start in zip(
            averages, rings.mean, rings.error, starts, strict=True
        ):
            work.unit("Fitting waves")
            fits.append(fit_waves(replace(basis, averaged=average), mean, error, start, limits))
        return fits

    def waves_show(trial: _Trial) -> bool:
        """Tell whether most biases have a ring."""
        gains = waveless_chi2(shapes(trial.rings, trial.length))
        gains = gains - np.array([one.chi2 for one in trial.fits])
        return bool(np.median(gains / np.maximum(_excess(trial.fits), 1.0)) >= _MIN_GAIN)

    def beyond_core(length: float, *, hidden: bool = False) -> _Trial:
        """Fit, with rings left out from the inside where the core shows, or hides the waves."""
        trial = _Trial(length, rings, fit(rings, length))
        while radii_nm is None and float(trial.rings.radius[0]) < _MAX_CORE_SHARE * reach:
            fewer = every.between(float(trial.rings.radius[_CORE_STEP]), far)
            if len(fewer.radius) < _MIN_RINGS:
                break
            without = _Trial(length, fewer, fit(fewer, length))
            same = _misfit(trial.fits) <= 2 * _misfit(without.fits) + _MIN_CORE
            settled = same and not _core_shows(trial.fits, trial.rings)
            if settled and (not hidden or waves_show(trial)):
                break
            trial = without
        return trial

    def gain(trial: _Trial, length: float) -> float:
        """Compute by how much a background would lower chi-squared with the waves as they are."""
        basis, beside = shapes(trial.rings, 0.0), np.exp(-trial.rings.distances / length)
        return sum(
            shape_gain(replace(basis, averaged=average), one, number, beside)
            for number, (average, one) in enumerate(zip(averages, trial.fits, strict=True))
        )

    trial = beyond_core(background_nm or 0.0)
    if background_nm is None:
        lengths = [share * float(np.ptp(rings.radius)) for share in _BACKGROUNDS]
        if len(trial.rings.radius) == len(rings.radius):
            gains = [gain(trial, length) for length in lengths]
            wanted = float(scipy.stats.chi2.isf(_WORTH_A_TRIAL, len(trial.fits)))
            best = int(np.argmax(gains))
            lengths = [lengths[best]] if gains[best] > wanted * max(_misfit(trial.fits), 1) else []
        tried = [beyond_core(length) for length in lengths]
        if tried:
            better = min(tried, key=lambda one: (-len(one.rings.radius), _misfit(one.fits)))
            trial = better if _background_shows(trial, better) else trial
    if radii_nm is None and not waves_show(trial):
        # Long waves imitate a wide core, whose residual is then spread over all rings.
        beyond = beyond_core(0.0, hidden=True)
        trial = beyond if waves_show(beyond) else trial
    length, kept, fits = trial
    radius = kept.radius
    power = angular_power(
        kernel, kept, np.stack([one.everywhere for one in fits]),
        np.array([2 * one.values[0] for one in fits]),
    )  # fmt: skip
    told = waveless_chi2(shapes(kept, length)) - np.array([one.chi2 for one in fits])
    excess = _excess(fits)
    told /= np.maximum(np.maximum(excess, power), 1.0)
    if alike is None:
        alike = std is not None and float(np.median(excess)) > _MAX_INDEPENDENT_CHI2
    if alike:
        kept = radial_mean(kernel, std, alike=True).between(float(radius[0]), far)
        fits = fit(kept, length)
    reasons = [_reason(*one, limits, kept) for one in zip(fits, told.tolist(), strict=True)]
    bias = kernel["bias"]
    profiles = xr.Dataset(
        {
            "mean": (("bias", "r"), kept.mean),
            "std": (("bias", "r"), kept.error),
            "fitted": (("bias", "r"), np.stack([one.fitted for one in fits])),
        },
        coords={"bias": bias, "r": ("r", radius, {"units": "nm", "long_name": "distance"})},
    )
    unit = kernel.attrs.get("units", "")
    for name in profiles:
        profiles[name].attrs = {"units": unit, "long_name": f"angular mean of the kernel, {name}"}
    table = _table(fits, reasons, bias, len(radius), unit)
    table.attrs["background_nm"] = length
    if radii_nm is None and float(radius[0]) > float(rings.radius[0]):
        table.attrs["core_nm"] = float(radius[0])
    return WaveNumbers(table, profiles)


class _Trial(NamedTuple):
    """Fits with a background of some length, and the rings kept."""

    length: float
    rings: RadialMean
    fits: list[FittedWaves]


def _background_shows(without: _Trial, other: _Trial) -> bool:
    """Tell whether a background saves rings, or lowers chi-squared by more than chance."""
    if len(other.rings.radius) < len(without.rings.radius):
        return False
    within = len(other.rings.radius) - len(without.rings.radius)
    if within and not _core_shows(without.fits, without.rings):
        # Beyond its core the kernel is waves; what is nearer need not be known.
        return False
    sums = []
    for rings, fits, first in ((without.rings, without.fits, 0), (other.rings, other.fits, within)):
        square = ((rings.mean - np.stack([one.fitted for one in fits])) / rings.error) ** 2
        sums.append(float(square[:, first:].sum()))
    chance = float(scipy.stats.chi2.isf(_BACKGROUND_LEVEL, len(other.fits)))
    chance *= max(_misfit(other.fits), 1.0)
    return sums[1] < sums[0] + (chance if within else -chance)


def _excess(fits: list[FittedWaves]) -> Array:
    """Compute chi-squared per free ring of each bias."""
    return np.array([one.chi2 / (len(one.fitted) - len(one.values)) for one in fits])


def _misfit(fits: list[FittedWaves]) -> float:
    """Average chi-squared per free ring over the biases."""
    return float(_excess(fits).mean())


def _core_shows(fits: list[FittedWaves], rings: RadialMean) -> bool:
    """Tell whether the innermost rings differ from the waves more than the others do."""
    squares = ((rings.mean - np.stack([one.fitted for one in fits])) / rings.error) ** 2
    within, beyond = squares[:, :_CORE_RINGS], squares[:, _CORE_RINGS:]
    limit = scipy.stats.f.ppf(_CORE_LEVEL, within.size, beyond.size)
    return bool(within.mean() > limit * beyond.mean() + _MIN_CORE)


def _reason(found: FittedWaves, gain: float, limits: tuple[float, float], rings: RadialMean) -> str:
    """Say why a wave number is not to be used; nothing where it is."""
    k, error = found.values[0], found.covariance[0, 0] ** 0.5
    near, far = float(rings.radius[0]), float(rings.radius[-1])
    excess = max(found.chi2 / (len(rings.radius) - len(found.values)), 1.0)
    if gain < _MIN_GAIN:
        return (
            f"no ring: waves lower chi-squared by {gain:.0f} only below what has no wave, less "
            f"than {_MIN_GAIN:.0f}"
        )
    if k < np.pi / (far - near):
        return (
            f"k = {k:.3g} rad/nm: less than one standing wave lies from {near:.3g} to {far:.3g} nm"
        )
    if not k < limits[1] * 0.99:
        return f"k = {k:.3g} rad/nm is at the limit of what pixels resolve, {limits[1]:.3g}"
    if not error * excess**0.5 < _MAX_ERROR_SHARE * k:
        return f"k is known to {error * excess**0.5 / k:.0%} only"
    return ""


def _table(
    fits: list[FittedWaves], reasons: list[str], bias: xr.DataArray, rings: int, unit: str
) -> xr.Dataset:
    """Tabulate wave numbers, dampings and amplitudes with errors."""
    values = np.stack([one.values for one in fits])
    chi2 = np.array([one.chi2 / (rings - len(one.values)) for one in fits])
    covariance = np.stack([one.covariance for one in fits]) * np.maximum(chi2, 1.0)[:, None, None]
    real, imaginary = values[:, 2], values[:, 3]
    amplitude = np.hypot(real, imaginary)
    # Derivatives of modulus and argument of C.
    radial = np.stack([real, imaginary], axis=1) / amplitude[:, None]
    turning = np.stack([-imaginary, real], axis=1) / amplitude[:, None] ** 2
    block = covariance[:, 2:4, 2:4]
    table = {
        "k": (values[:, 0], covariance[:, 0, 0], "rad/nm", "wave number"),
        "damping": (values[:, 1], covariance[:, 1, 1], "rad/nm", "damping Im k"),
        "amplitude": (
            amplitude, np.einsum("bi,bij,bj->b", radial, block, radial), unit, "amplitude |C|",
        ),
        "phase": (
            np.arctan2(imaginary, real), np.einsum("bi,bij,bj->b", turning, block, turning), "rad",
            "phase of C",
        ),
        "offset": (values[:, 4], covariance[:, 4, 4], unit, "constant"),
    }  # fmt: skip
    found = xr.Dataset(coords={"bias": bias})
    for name, (value, variance, units, title) in table.items():
        found[name] = ("bias", value, {"units": units, "long_name": title})
        found[f"{name}_std"] = (
            "bias", np.sqrt(variance), {"units": units, "long_name": f"error of {title}"},
        )  # fmt: skip
    # How far the phase goes with k, whose error is most of the phase's.
    slope = np.einsum("bi,bi->b", turning, covariance[:, 2:4, 0]) / covariance[:, 0, 0]
    found["phase_per_k"] = (
        "bias", slope, {"units": "nm", "long_name": "change of the phase of C with k"},
    )  # fmt: skip
    found["chi2"] = ("bias", chi2, {"units": "", "long_name": "chi-squared per free ring"})
    used = np.array([not reason for reason in reasons])
    found["used"] = ("bias", used, {"units": "", "long_name": "fitted by the band"})
    found["reason"] = ("bias", np.array(reasons, object), {"units": "", "long_name": "left out"})
    return found
