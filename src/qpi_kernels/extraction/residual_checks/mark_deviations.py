"""Strength and place of every mark, fitted to the residual without a prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

from qpi_kernels.extraction.residual_checks.marked_residual import Image, MarkedResidual, Spectra

__all__ = ["MarkDeviations"]

_MIN_VISIBLE = 0.3
_MAX_MARKS = 300
_RIDGE = 1e-3


@dataclass(frozen=True, eq=False)
class MarkDeviations:
    """Deviations of strengths and places from those that were marked.

    Parameters
    ----------
    chosen : array of int, (n,)
        Marks of which enough shows.
    strength : array, (n,)
        Change of the strength, as a share of what was given.
    moved : array, (n, 2)
        Change of row and column, in pixels.
    strength_chi2, moved_chi2 : float
        Chi-squared that each explains beyond the other; n and 2n by chance.
    """

    chosen: NDArray[np.intp]
    strength: Image
    moved: Image
    strength_chi2: float
    moved_chi2: float

    @classmethod
    def fit(cls, residual: MarkedResidual) -> MarkDeviations:
        """Take one Gauss-Newton step for all marks together.

        Correlations between overlapping waves are those of a map without edges, scaled by how much
        of each wave shows.
        """
        shown = residual.visible * (residual.defects.strength != 0) > _MIN_VISIBLE
        chosen = np.flatnonzero(shown)
        if len(chosen) > _MAX_MARKS:
            chosen = chosen[np.linspace(0, len(chosen) - 1, _MAX_MARKS).astype(int)]
        count = len(chosen)
        if not count:
            return cls(chosen, np.zeros(0), np.zeros((0, 2)), 0.0, 0.0)
        normal = _normal_matrix(residual, chosen).reshape(3 * count, 3 * count)
        normal += _RIDGE * np.diag(np.diag(normal))
        covariance: Image = np.asarray(np.linalg.inv(normal), np.float64)
        step = covariance @ _scores(residual, chosen).ravel()
        strength, moved = step[:count], step[count:]
        return cls(
            chosen,
            strength,
            moved.reshape(2, count).T,
            _energy(strength, covariance[:count, :count]),
            _energy(moved, covariance[count:, count:]),
        )

    def pattern(self, residual: MarkedResidual) -> Image:
        """Predict the change of the map, (rows, columns)."""
        image = np.zeros(residual.shape)
        steps = (self.strength, *self.moved.T)
        for spectra, step in zip(residual.derivatives, steps, strict=True):
            weights = np.zeros(len(residual.defects))
            weights[self.chosen] = step
            image += residual.pattern(spectra, weights)
        return image


def _energy(step: Image, covariance: Image) -> float:
    """Weigh a step by its covariance."""
    return float(step @ np.linalg.solve(covariance, step))


def _inverse_power(residual: MarkedResidual) -> Image:
    """Interpolate the inverse noise power to the wave vectors of padded spectra."""
    shape = residual.shape
    lags = scipy.fft.fftshift(scipy.fft.irfft2(1.0 / residual.power, shape))
    before = [size // 2 - old // 2 for size, old in zip(residual.extent, shape, strict=True)]
    width = [
        (some, size - old - some)
        for some, size, old in zip(before, residual.extent, shape, strict=True)
    ]
    spectrum = scipy.fft.rfft2(scipy.fft.ifftshift(np.pad(lags, width))).real
    return np.asarray(np.maximum(spectrum, 1e-3 / float(residual.power.max())))


def _scores(residual: MarkedResidual, chosen: NDArray[np.intp]) -> Image:
    """Correlate the residual with the derivatives of each mark's wave, (3, n)."""
    down, across = residual.wave_vectors
    weighted = scipy.fft.irfft2(scipy.fft.rfft2(residual.values) / residual.power, residual.shape)
    spectrum = scipy.fft.rfft2(weighted * residual.mask, residual.extent)
    # The half spectrum of a real map holds most waves once for their two signs.
    twice = np.full(spectrum.shape[1], 2.0)
    twice[0] = 1.0
    if residual.extent[1] % 2 == 0:
        twice[-1] = 1.0
    rows, columns = residual.defects.positions[chosen].T
    below, right = np.exp(1j * down * rows).T, np.exp(1j * across.T * columns).T * twice
    scores = np.zeros((3, len(chosen)))
    kind, strength = residual.kind[chosen], residual.defects.strength[chosen]
    for which, spectra in enumerate(residual.derivatives):
        for number, derivative in enumerate(spectra):
            one = kind == number
            product = below[one] @ (derivative.conj() * spectrum)
            scores[which, one] = (product * right[one]).sum(axis=1).real
    return scores * strength / np.prod(residual.extent)


def _normal_matrix(residual: MarkedResidual, chosen: NDArray[np.intp]) -> Image:
    """Correlate the derivatives of all waves with each other, (3, n, 3, n)."""
    inverse = _inverse_power(residual)
    positions, kind = residual.defects.positions[chosen], residual.kind[chosen]
    size = residual.defects.strength[chosen] * np.sqrt(residual.visible[chosen])
    count = len(chosen)
    normal = np.zeros((3, count, 3, count))
    for first, second in ((i, j) for i in np.unique(kind) for j in np.unique(kind)):
        some, others = np.flatnonzero(kind == first), np.flatnonzero(kind == second)
        lags = np.moveaxis(positions[some, None] - positions[others], -1, 0)
        for row in range(3):
            for column in range(3):
                one = residual.derivatives[row][first]
                other = residual.derivatives[column][second]
                found = _at_lags(one, other, inverse, lags, residual.extent)
                normal[row, some[:, None], column, others] = found
    return np.asarray(normal * size[:, None, None] * size)


def _at_lags(
    one: Spectra, other: Spectra, inverse: Image, lags: Image, extent: tuple[int, int]
) -> Image:
    """Evaluate the correlation of two windows at lags (2, n, m)."""
    correlation = scipy.fft.irfft2(one.conj() * other * inverse, extent)
    places = lags % np.array(extent)[:, None, None]
    return np.asarray(scipy.ndimage.map_coordinates(correlation, places, order=3, mode="grid-wrap"))
