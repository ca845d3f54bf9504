r"""Fit of one bias: waves that go out to a distance and come back.

.. math:: \overline{\delta\rho}(r) = \mathrm{Re}\{C\,[H_0^{(1)}((k + i\kappa) r)]^2\} + b
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy.optimize
import scipy.special
from numpy.typing import NDArray

from qpi_kernels.inspect.dispersion.models import Waves
from qpi_kernels.inspect.dispersion.radial_mean import RadialMean

__all__ = [
    "EnergyAverage",
    "FittedWaves",
    "WaveBasis",
    "fit_waves",
    "outgoing_waves",
    "search_waves",
    "shape_gain",
    "waveless_chi2",
]

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

_STARTS = 3
# Of features without a wave.
_WIDTHS = 24
_DAMPING_SHARES = (0.01, 0.05, 0.2)


def outgoing_waves(argument: Complex, kind: Waves) -> Complex:
    """Compute waves that go out and come back as a function of z = (k + i kappa) r.

    ``H0^2``; ``helical`` ``H0^2 + H1^2``; ``integrated`` over energies, of which the end shows at
    a distance, ``H0^2 / z``.
    """
    wave = scipy.special.hankel1(0, argument) ** 2
    if kind == "helical":
        wave = wave + scipy.special.hankel1(1, argument) ** 2
    if kind == "integrated":
        wave = wave / argument
    return np.asarray(wave)


@dataclass(frozen=True, eq=False)
class FittedWaves:
    """Waves at one bias.

    Parameters
    ----------
    values : array, (5 + n,)
        k and kappa in rad/nm; Re C, Im C and b in the kernel's units; amplitudes of other shapes.
    covariance : array, (5 + n, 5 + n)
        Of them.
    fitted : array, (ring,)
        The waves.
    everywhere : array, (distance,)
        The same at the distances of the rings' pixels.
    chi2 : float
        Sum of squared residuals over errors.
    """

    values: Array
    covariance: Array
    fitted: Array
    everywhere: Array
    chi2: float


class EnergyAverage(NamedTuple):
    """Waves over the energies that an instrument averages.

    Parameters
    ----------
    shift : array, (node,)
        Change of k in rad/nm.
    stretch : array, (node,)
        Damping over that at the middle.
    weight : array, (node,)
        They add to 1.
    """

    shift: Array
    stretch: Array
    weight: Array


_SHARP = EnergyAverage(np.zeros(1), np.ones(1), np.ones(1))


@dataclass(frozen=True, eq=False)
class WaveBasis:
    """Shapes of the waves on the rings.

    Parameters
    ----------
    rings : RadialMean
        Distances of the rings' pixels, over which the waves are averaged as the kernel is.
    kind : {"scalar", "helical", "integrated"}
        See `outgoing_waves`. Helical are those of states whose spin or pseudospin turns with their
        momentum and does not scatter back.
    averaged : EnergyAverage, optional
        What the instrument averages over.
    others : array, (distance, n)
        Further shapes whose amplitudes are fitted, such as waves of other energies.
    """

    rings: RadialMean
    kind: Waves = "scalar"
    averaged: EnergyAverage | None = None
    others: Array | None = None

    def waves(self, k: Array, kappa: Array, *, coarse: bool = False) -> Complex:
        """Compute the waves, (..., ring), at wave numbers and dampings of shape (...).

        The coarse ones are those at the rings' mean radii: quicker, for a search.
        """
        radius = self.rings.radius if coarse else self.rings.distances
        total = self._outgoing(k, kappa, radius)
        return total if coarse else self.rings.averaged(total)

    def _outgoing(self, k: Array, kappa: Array, radius: Array) -> Complex:
        """Compute the waves at distances."""
        average = _SHARP if self.averaged is None else self.averaged
        total: Complex = np.zeros((*np.shape(k), len(radius)), complex)
        for shift, stretch, weight in zip(*average, strict=True):
            at = np.maximum(np.asarray(k) + shift, 1e-3) + 1j * stretch * np.asarray(kappa)
            total += weight * outgoing_waves(at[..., None] * radius, self.kind)
        return total

    @cached_property
    def beside(self) -> Array:
        """Columns of the constant and the other shapes on the rings, (ring, 1 + n)."""
        columns = np.ones((len(self.rings.radius), 1))
        if self.others is None:
            return columns
        others = self.rings.averaged(self.others.T).T
        return np.concatenate([columns, others], axis=1)

    def everywhere(self, values: Array) -> Array:
        """Compute fitted waves at the distances of all pixels, (distance,)."""
        waves = self._outgoing(values[:1], values[1:2], self.rings.distances)[0]
        total = values[2] * waves.real - values[3] * waves.imag + values[4]
        return np.asarray(total if self.others is None else total + self.others @ values[5:])

    def columns(self, k: Array, kappa: Array, *, coarse: bool = False) -> Array:
        """Compute the linear shapes of Re C, Im C, b, and the others, (..., ring, 3 + n)."""
        waves = self.waves(k, kappa, coarse=coarse)
        beside = np.broadcast_to(self.beside, (*waves.shape, self.beside.shape[1]))
        return np.concatenate([waves.real[..., None], -waves.imag[..., None], beside], axis=-1)


def _solve(columns: Array, data: Array, error: Array) -> tuple[Array, Array]:
    """Solve for the linear parameters; return them and the weighted residual."""
    weighted = columns / error[:, None]
    scale = np.sqrt((weighted**2).sum(axis=-2, keepdims=True)) + 1e-300
    solution, *_ = np.linalg.lstsq(weighted / scale, data / error, rcond=None)
    linear = solution / scale[0]
    return linear, weighted @ linear - data / error


def waveless_chi2(basis: WaveBasis) -> Array:
    """Fit what falls from the defect without a wave: a feature, a halo, or a slope.

    A constant with exponentials or Gaussians of any width, or with a parabola.

    Returns
    -------
    array, (bias,)
        The lowest chi-squared.
    """
    rings = basis.rings
    away = rings.distances - rings.radius[0]
    span = float(np.ptp(rings.radius))
    widths = np.geomspace(rings.radius[1] - rings.radius[0], 2 * span, _WIDTHS)[:, None]
    shapes = [
        np.exp(-away / widths),
        np.exp(-0.5 * (rings.distances**2 - rings.radius[0] ** 2) / widths**2),
        np.stack([away, away**2]) / span,
    ]
    # Two widths side by side make all between them.
    families = [
        np.concatenate([basis.beside, rings.averaged(shape[number : number + 2]).T], axis=1)
        for shape in shapes
        for number in range(len(shape) - 1)
    ]
    return np.array(
        [
            min(float(np.square(_solve(one, data, error)[1]).sum()) for one in families)
            for data, error in zip(rings.mean, rings.error, strict=True)
        ]
    )


def shape_gain(basis: WaveBasis, fitted: FittedWaves, number: int, shape: Array) -> float:
    """Compute by how much a further shape lowers chi-squared of one bias, with k as it is.

    Parameters
    ----------
    basis, fitted
        The waves, and their fit.
    number : int
        Which bias.
    shape : array, (distance,)
        What is fitted beside.
    """
    rings, (k, kappa) = basis.rings, fitted.values[:2]
    columns = basis.columns(np.array(k), np.array(kappa))
    further = np.column_stack([columns, rings.averaged(shape)])
    rest = _solve(further, rings.mean[number], rings.error[number])[1]
    return fitted.chi2 - float(rest @ rest)


def search_waves(
    basis: WaveBasis, limits: tuple[float, float], points: int
) -> list[list[tuple[float, float]]]:
    """Search wave numbers and dampings of all biases on a grid.

    Returns
    -------
    list
        For each bias its best few starts (k, kappa), the best first.
    """
    k, share = np.meshgrid(np.geomspace(*limits, points), _DAMPING_SHARES, indexing="ij")
    kappa = share * np.maximum(k, 1.0)
    columns = basis.columns(k, kappa, coarse=True)
    found = []
    for data, error in zip(basis.rings.mean, basis.rings.error, strict=True):
        weighted = columns / error[:, None]
        orthogonal, _ = np.linalg.qr(weighted)
        caught = np.einsum("kdrc,r->kdc", orthogonal, data / error)
        gain = (caught**2).sum(axis=-1)
        best = gain.argmax(axis=1)
        height = gain.max(axis=1)
        padded = np.concatenate([[-np.inf], height, [-np.inf]])
        peaks = np.flatnonzero((height >= padded[:-2]) & (height >= padded[2:]))
        order = peaks[np.argsort(-height[peaks])][:_STARTS]
        found.append([(float(k[one, 0]), float(kappa[one, best[one]])) for one in order])
    return found


def fit_waves(
    basis: WaveBasis,
    data: Array,
    error: Array,
    starts: list[tuple[float, float]],
    limits: tuple[float, float],
) -> FittedWaves:
    """Fit k and kappa of one bias; C and b are eliminated (variable projection).

    Parameters
    ----------
    basis : WaveBasis
        Shapes at the rings.
    data, error : array, (ring,)
        Means over rings and their standard deviations.
    starts : list of (k, kappa)
        The lowest minimum reached from any of them is taken.
    limits : tuple of float
        Lowest and highest k in rad/nm.
    """

    def residual(waves: Array) -> Array:
        """Compute the weighted residual with the best C and b."""
        return _solve(basis.columns(waves[0], waves[1]), data, error)[1]

    low = np.array([limits[0], 0.0])
    high = np.array([limits[1], limits[1]])
    fits = [
        scipy.optimize.least_squares(
            residual, np.clip(start, low + 1e-6, high - 1e-6), bounds=(low, high), x_scale=(1, 0.1)
        )
        for start in starts
    ]
    best = min(fits, key=lambda one: float(one.cost))
    k, kappa = (float(one) for one in best.x)
    linear, misfit = _solve(basis.columns(best.x[0], best.x[1]), data, error)
    step = 1e-4
    slopes = [
        (basis.columns(np.array(k + dk), np.array(kappa + dkappa)) @ linear)
        - (basis.columns(np.array(k - dk), np.array(kappa - dkappa)) @ linear)
        for dk, dkappa in ((step, 0.0), (0.0, step))
    ]
    jacobian = np.column_stack(
        [slope / (2 * step) for slope in slopes] + [basis.columns(best.x[0], best.x[1])]
    )
    weighted = jacobian / error[:, None]
    scale = np.sqrt((weighted**2).sum(axis=0)) + 1e-300
    covariance = np.linalg.pinv((weighted / scale).T @ (weighted / scale)) / np.outer(scale, scale)
    values = np.array([k, kappa, *linear])
    chi2 = float(misfit @ misfit)
    return FittedWaves(
        values=values,
        covariance=np.asarray(covariance),
        fitted=data + misfit * error,
        everywhere=basis.everywhere(values),
        chi2=chi2,
    )
