r"""Fit of a band model by simulated kernels, for contours of any shape.

A point scatterer's kernel is linear in its T-matrix,
:math:`\delta\rho(r, E) = -\frac{1}{\pi}\mathrm{Im} \sum_a T_a(E)\, F_a(r, E)`, so that every bias
has its own complex scattering amplitudes, eliminated exactly (variable projection: Golub and
Pereyra, SIAM J. Numer. Anal. 10, 413, 1973), and only the band and its broadening are searched.
The comparison is made in real space on the kernel's own pixels: there the crop is the same for
both, and the phase, which moves the maxima of a Fourier magnitude, is fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import lmfit
import numpy as np
import scipy.stats
from numpy.typing import NDArray

from qpi_kernels.inspect.dispersion.counted_work import CountedWork
from qpi_kernels.inspect.dispersion.synthesis.correlated_errors import correlated_covariance
from qpi_kernels.simulate.bands.band import Band, SimulationError
from qpi_kernels.simulate.scattering.ldos import standing_waves

__all__ = ["Comparison", "Synthesis", "fit_synthesis", "search_start"]

Array = NDArray[np.float64]
Pixels = NDArray[np.bool_]
Waves = NDArray[np.complex128]

# Boxes of simulated waves stay quick to transform; that limits the damping from below.
_MAX_BOX = 1536
_REACHES = 5.5
_WIDTH = "broadening_{}"
# A step of the search that can not be simulated is as bad as no waves at all.
_REJECTED = 10.0
# Half the window first: there phases agree from twice as far, but dampings are not to be told.
_NEAR, _ALL = 0.5, np.inf
_ROUGH, _TOLERANCE, _STEP = 1e-2, 1e-5, 1e-4
_SAMPLES, _SEARCHED_BIASES, _TRIES = 128, 3, 2


@dataclass(frozen=True, eq=False)
class Comparison:
    """A kernel stack and its errors, to be compared with kernels of bands.

    Parameters
    ----------
    build : callable
        Makes a `Band` from parameters, by name.
    energies : array, (bias,)
        In eV.
    pixel_nm : float
        Pixel pitch.
    data, std : array, (bias, y, x)
        Kernel and standard deviation; the defect is at ``(h//2, w//2)``.
    radii_nm : tuple of float
        Smallest and largest distance from the defect to compare.
    tip_nm : float
        Of `simulate.single_defect`.
    work : CountedWork
        Told of each band that is compared.
    """

    build: Callable[..., Band]
    energies: Array
    pixel_nm: float
    data: Array
    std: Array
    radii_nm: tuple[float, float]
    tip_nm: float = 0.0
    work: CountedWork = field(default_factory=CountedWork)

    @property
    def half_nm(self) -> float:
        """Half the shorter side of the window."""
        return float(min(self.data.shape[-2:]) / 2 * self.pixel_nm)

    def pixels(self, share: float) -> Pixels:
        """Mark the pixels up to a share of the window's radius, (y, x)."""
        rows, columns = ((np.arange(n) - n // 2) * self.pixel_nm for n in self.data.shape[-2:])
        distance = np.hypot(rows[:, None], columns[None, :])
        near, far = self.radii_nm
        return np.asarray((distance >= near) & (distance <= min(far, share * self.half_nm)))

    def waves(self, band: Band, widths: Array) -> Waves:
        """Simulate the waves of a band on the kernel's window, (bias, orbital, y, x)."""
        rows, columns = (np.arange(n) - n // 2 for n in self.data.shape[-2:])
        return standing_waves(
            band,
            self.energies,
            pixel_nm=self.pixel_nm,
            window=(rows, columns),
            broadening=widths,
            tip_nm=self.tip_nm,
        )

    def solve(self, waves: Waves, pixels: Pixels) -> tuple[Array, Array, Waves]:
        """Fit the amplitudes of each bias.

        Returns
        -------
        residual : array, (bias, pixel)
            Of the pixels compared, over their errors.
        synthesised : array, (bias, y, x)
        amplitudes : array of complex, (bias, orbital)
            T in the kernel's units times eV^2 nm^4.
        """
        orbitals = waves.shape[1]
        residual = np.empty((len(waves), int(pixels.sum())))
        synthesised = np.empty(self.data.shape)
        amplitudes = np.empty((len(waves), orbitals), complex)
        for number, wave in enumerate(waves):
            shapes = np.concatenate([wave.imag, wave.real, np.ones((1, *wave.shape[1:]))])
            error = self.std[number][pixels]
            columns = shapes[:, pixels] / error
            scale = np.sqrt(np.square(columns).sum(axis=1, keepdims=True)) + 1e-300
            wanted = self.data[number][pixels] / error
            # Orbitals that a symmetry makes alike leave their shares open: the least are taken.
            solution, *_ = np.linalg.lstsq((columns / scale).T, wanted, rcond=1e-6)
            linear = solution / scale[:, 0]
            residual[number] = linear @ columns - wanted
            synthesised[number] = np.tensordot(linear, shapes, axes=1)
            amplitudes[number] = -np.pi * (linear[:orbitals] + 1j * linear[orbitals:-1])
        return residual, synthesised, amplitudes

    def misfit(self, values: Mapping[str, float], widths: Array, pixels: Pixels) -> Array:
        """Compute the residuals over their errors of a band, (bias, pixel)."""
        self.work.unit("Comparing simulated kernels")
        try:
            residual, _, _ = self.solve(self.waves(self.build(**values), widths), pixels)
        except (SimulationError, ValueError):
            residual = _REJECTED * self.data[:, pixels] / self.std[:, pixels]
        return residual

    def widths(self, band: Band) -> tuple[Array, Array]:
        """Propose the half-width of each bias in eV, and its lower limit."""
        speeds = np.array(
            [band.largest_velocity(energy, 0.0, self.pixel_nm) for energy in self.energies.tolist()]
        )
        lowest = _REACHES * speeds / (_MAX_BOX * self.pixel_nm)
        return np.maximum(speeds / (4 * self.half_nm), 1.5 * lowest), lowest


@dataclass(frozen=True, eq=False)
class Synthesis:
    """Band and broadening that reproduce a kernel.

    Parameters
    ----------
    fit : lmfit.minimizer.MinimizerResult
        Parameters of the band by their names, and ``broadening_0`` on of each bias in eV.
    synthesised : array, (bias, y, x)
        The kernel of that band.
    amplitudes : array of complex, (bias, orbital)
        See `Comparison.solve`.
    chi2 : array, (bias,)
        Sum of squared residuals over errors.
    degrees : int
        Pixels of a bias less its amplitudes.
    covariance : array, (varied, varied)
        Of the fitted parameters, see `correlated_covariance`.
    """

    fit: Any
    synthesised: Array
    amplitudes: Waves
    chi2: Array
    degrees: int
    covariance: Array

    @property
    def band(self) -> dict[str, float]:
        """Parameters of the band."""
        return _band(self.fit.params)

    @property
    def widths(self) -> Array:
        """Half-width of each bias in eV."""
        return _widths(self.fit.params)


def fit_synthesis(
    comparison: Comparison,
    initial: Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
) -> Synthesis:
    """Fit the parameters of a band, and a half-width for each bias, to a stack of kernels.

    Parameters
    ----------
    comparison : Comparison
        Kernel, errors, and what makes a band.
    initial : mapping
        Start values. Wave numbers of the start should be right to about ``2 / half the window``.
    bounds : mapping
        Lowest and highest value of a parameter.

    Raises
    ------
    SimulationError
        If the band of the start values can not be simulated.
    """
    params = lmfit.Parameters()
    for name, value in initial.items():
        low, high = bounds.get(name, (-np.inf, np.inf))
        params.add(name, value=float(value), min=low, max=high)
    start, lowest = comparison.widths(comparison.build(**_band(params)))
    for number, (width, limit) in enumerate(zip(start.tolist(), lowest.tolist(), strict=True)):
        params.add(_WIDTH.format(number), value=width, min=limit, vary=False)
    near, pixels = comparison.pixels(_NEAR), comparison.pixels(_ALL)
    if near.any():
        params = _minimise(comparison, params, near, _ROUGH).params
    for name in params:
        params[name].vary = True
    fit = _minimise(comparison, params, pixels, _TOLERANCE)
    params = fit.params
    waves = comparison.waves(comparison.build(**_band(params)), _widths(params))
    residual, synthesised, amplitudes = comparison.solve(waves, pixels)
    degrees = residual.shape[1] - 2 * amplitudes.shape[1] - 1
    slopes = _jacobian(params, comparison, pixels).reshape(*residual.shape, -1)
    return Synthesis(
        fit=fit,
        synthesised=synthesised,
        amplitudes=amplitudes,
        chi2=np.square(residual).sum(axis=1),
        degrees=degrees,
        covariance=correlated_covariance(slopes, residual, pixels),
    )


def search_start(
    comparison: Comparison,
    initial: Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
) -> list[dict[str, float]]:
    """Search start values of the parameters that have bounds but no start value.

    Returns
    -------
    list of dict
        The best few, the best first.
    """
    names = [name for name in bounds if name not in initial]
    if not names:
        return [dict(initial)]
    count = len(comparison.energies)
    chosen = np.unique(np.linspace(0, count - 1, min(_SEARCHED_BIASES, count)).astype(int))
    some = replace(
        comparison,
        energies=comparison.energies[chosen],
        data=comparison.data[chosen],
        std=comparison.std[chosen],
    )
    pixels = some.pixels(_NEAR)
    low, high = (np.array([bounds[name][end] for name in names]) for end in (0, 1))
    samples = scipy.stats.qmc.Sobol(len(names), rng=np.random.default_rng(0)).random(_SAMPLES)
    found: list[tuple[float, dict[str, float]]] = []
    for sample in low + samples * (high - low):
        trial = {**initial, **dict(zip(names, sample.tolist(), strict=True))}
        try:
            widths, _ = some.widths(some.build(**trial))
        except (SimulationError, ValueError):
            continue
        misfit = some.misfit(trial, widths, pixels)
        found.append((float(np.square(misfit).sum()), trial))
    found.sort(key=lambda one: one[0])
    return [trial for _, trial in found[:_TRIES]]


def _minimise(
    comparison: Comparison, params: lmfit.Parameters, pixels: Pixels, tolerance: float
) -> Any:
    """Minimise the misfit on some pixels; return lmfit's result."""
    minimizer = lmfit.Minimizer(_residual, params, fcn_args=(comparison, pixels), scale_covar=False)
    return minimizer.least_squares(Dfun=_jacobian, x_scale="jac", ftol=tolerance, xtol=tolerance)


def _band(params: lmfit.Parameters) -> dict[str, float]:
    """List the parameters of the band."""
    prefix = _WIDTH.format("")
    return {name: float(params[name].value) for name in params if not name.startswith(prefix)}


def _widths(params: lmfit.Parameters) -> Array:
    """List the half-widths of the biases."""
    prefix = _WIDTH.format("")
    return np.array([params[name].value for name in params if name.startswith(prefix)])


def _residual(params: lmfit.Parameters, comparison: Comparison, pixels: Pixels) -> Array:
    """Compute the residuals of all biases, flat."""
    return comparison.misfit(_band(params), _widths(params), pixels).ravel()


def _jacobian(params: lmfit.Parameters, comparison: Comparison, pixels: Pixels) -> Array:
    """Compute the slopes of `_residual` by differences, (residual, varied parameter).

    A half-width changes its own bias alone: one more simulation serves those of all biases.
    """
    values, widths = _band(params), _widths(params)
    here = comparison.misfit(values, widths, pixels)
    columns = []
    for name, value in values.items():
        if params[name].vary:
            step = _STEP * max(abs(value), 1e-3)
            moved = comparison.misfit({**values, name: value + step}, widths, pixels)
            columns.append((moved - here).ravel() / step)
    if params[_WIDTH.format(0)].vary:
        steps = _STEP * widths
        slopes = (comparison.misfit(values, widths + steps, pixels) - here) / steps[:, None]
        for number, slope in enumerate(slopes):
            column = np.zeros_like(here)
            column[number] = slope
            columns.append(column.ravel())
    return np.stack(columns, axis=1)
