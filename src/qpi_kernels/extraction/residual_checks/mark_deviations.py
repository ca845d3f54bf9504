"""Strength and place of every mark, fitted to the residual without a prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

from qpi_kernels.extraction.residual_checks.marked_residual import MarkedResidual
from qpi_kernels.extraction.residual_checks.transforms import (
    Image,
    Spectra,
    half_weights,
    transform,
    transform_back,
)

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
        weights = np.zeros((3, len(residual.defects)))
        weights[:, self.chosen] = self.strength, *self.moved.T
        marks = np.concatenate([residual.waves(step) for step in weights])
        return residual.pattern(np.concatenate(residual.derivatives), marks)


def _energy(step: Image, covariance: Image) -> float:
    """Weigh a step by its covariance."""
    return float(step @ np.linalg.solve(covariance, step))


def _inverse_power(residual: MarkedResidual) -> Image:
    """Interpolate the inverse noise power to the wave vectors of padded spectra."""
    shape = residual.shape
    lags = scipy.fft.fftshift(transform_back(1.0 / residual.power, shape, shape))
    before = [size // 2 - old // 2 for size, old in zip(residual.extent, shape, strict=True)]
    width = [
        (some, size - old - some)
        for some, size, old in zip(before, residual.extent, shape, strict=True)
    ]
    spectrum = transform(scipy.fft.ifftshift(np.pad(lags, width)), residual.extent).real
    return np.asarray(np.maximum(spectrum, 1e-3 / float(residual.power.max())))


def _scores(residual: MarkedResidual, chosen: NDArray[np.intp]) -> Image:
    """Correlate the residual with the derivatives of each mark's wave, (3, n)."""
    spectrum = transform(residual.values, residual.shape) / residual.power
    weighted = transform_back(spectrum, residual.shape, residual.shape) * residual.mask
    # The half spectrum of a real map holds most waves once for their two signs.
    twice = half_weights(residual.extent[1])
    product = residual.derivatives * (transform(weighted, residual.extent).conj() * twice)
    kind, scores = residual.kind[chosen], np.zeros((3, len(chosen)))
    down, across = (phases[chosen] for phases in residual.phases)
    for number in np.unique(kind):
        one = kind == number
        scores[:, one] = ((down[one] @ product[:, number]) * across[one]).sum(axis=-1).real
    return scores * residual.defects.strength[chosen] / np.prod(residual.extent)


def _normal_matrix(residual: MarkedResidual, chosen: NDArray[np.intp]) -> Image:
    """Correlate the derivatives of all waves with each other, (3, n, 3, n)."""
    weight = _inverse_power(residual) * _spline_gain(residual)
    positions, kind = residual.defects.positions[chosen], residual.kind[chosen]
    size = residual.defects.strength[chosen] * np.sqrt(residual.visible[chosen])
    count = len(chosen)
    normal = np.zeros((3, count, 3, count))
    # Each pair of derivatives once, for the matrix is symmetric.
    columns = [(row, number) for row in range(3) for number in np.unique(kind)]
    for place, (row, first) in enumerate(columns):
        some = np.flatnonzero(kind == first)
        left = residual.derivatives[row, first].conj() * weight
        for column, second in columns[place:]:
            others = np.flatnonzero(kind == second)
            lags = np.moveaxis(positions[some, None] - positions[others], -1, 0)
            found = _at_lags(left * residual.derivatives[column, second], lags, residual.extent)
            normal[row, some[:, None], column, others] = found
            normal[column, others[:, None], row, some] = found.T
    return np.asarray(normal * size[:, None, None] * size)


def _spline_gain(residual: MarkedResidual) -> Image:
    """Compute the factors that turn spectra of samples into those of cubic B-splines."""
    down, across = (3.0 / (2.0 + np.cos(wave)) for wave in residual.wave_vectors)
    return np.asarray(down * across, np.float32)


def _at_lags(spectrum: Spectra, lags: Image, extent: tuple[int, int]) -> Image:
    """Evaluate the spline of a spectrum, of `_spline_gain`, at lags (2, n, m)."""
    correlation = transform_back(spectrum, extent, extent)
    places = lags % np.array(extent)[:, None, None]
    found = scipy.ndimage.map_coordinates(
        correlation, places, output=np.float64, order=3, mode="grid-wrap", prefilter=False
    )
    return np.asarray(found)
