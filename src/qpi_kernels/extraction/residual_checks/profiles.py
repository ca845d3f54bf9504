"""The whitened residual about the marks, and its spectrum, each with the band of pure noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from qpi_kernels.extraction.residual_checks.marked_residual import MarkedResidual
from qpi_kernels.extraction.residual_checks.transforms import Image, transform, transform_back

__all__ = ["AroundMarks", "around_marks", "residual_spectrum"]

_REACH = 0.8
_MIN_SHARE = 0.3
_SPECTRUM_BINS = 24


class AroundMarks(NamedTuple):
    """Mean of the whitened residual over all marks, in units of its standard deviation.

    Parameters
    ----------
    radius : array, (n,)
        Distance from the mark, in pixels.
    mean, band : array, (n,)
        Mean over directions, and two standard deviations of it for noise alone.
    power, power_band : array, (n,)
        Mean square of the residual there, and two standard deviations of it about 1 for noise. What
        differs from mark to mark shows here: the mean over the marks, the kernel follows.
    beyond : float
        Mean square beyond the kernel's window, 1 for noise.
    usual : float
        What that does not exceed by chance.
    """

    radius: Image
    mean: Image
    band: Image
    power: Image
    power_band: Image
    beyond: float
    usual: float


def around_marks(residual: MarkedResidual) -> AroundMarks:
    """Average the whitened residual over the marks, as far as 0.8 windows from them."""
    mask = residual.mask
    images = np.stack([residual.white, mask, np.square(residual.white) * mask])
    marks = residual.marks.sum(axis=0)
    squares = marks
    if (residual.defects.strength != 1).any():
        squares = residual.waves(power=2).sum(axis=0)
    spectra = transform(images, residual.extent)
    spectra *= np.stack([marks, squares, squares]).conj()
    everywhere = transform_back(spectra, residual.extent, residual.extent)
    enough = _MIN_SHARE * float(everywhere[1].max(initial=0.0))
    # Only lags within the reach are wanted.
    lags = [
        np.arange(-size, size + 1)
        for size in np.ceil(_REACH * np.array(residual.window)).astype(int)
    ]
    total, number, energy = everywhere[:, lags[0][:, None], lags[1]].astype(np.float64)
    inside, near = (
        (np.abs(lags[0])[:, None] < share * residual.window[0])
        & (np.abs(lags[1]) < share * residual.window[1])
        for share in (0.5, _REACH)
    )
    shown = number > enough
    score = total / np.sqrt(np.where(shown, number, 1.0))
    outside = shown & near & ~inside
    count = int(outside.sum())
    beyond = float(np.square(score[outside]).mean()) if count else 1.0
    distance = np.rint(np.hypot(lags[0][:, None], lags[1])).astype(int)
    reach = int(_REACH * min(residual.window))
    use = shown & (distance <= reach)
    pixels = np.bincount(distance[use], minlength=reach + 1)
    sums, numbers, energies = (
        np.bincount(distance[use], one[use], minlength=reach + 1) for one in (score, number, energy)
    )
    some = pixels > 0
    weight = np.maximum(numbers[some], 1e-300)
    return AroundMarks(
        np.flatnonzero(some).astype(float),
        sums[some] / pixels[some],
        2.0 / np.sqrt(pixels[some]),
        energies[some] / weight,
        2.0 * np.sqrt(2.0 * float(np.square(residual.defects.strength).max()) / weight),
        beyond,
        1.0 + 6.0 * float(np.sqrt(2.0 / max(count, 1))),
    )


def residual_spectrum(residual: MarkedResidual) -> tuple[Image, Image, Image, Image]:
    """Average the residual's power over directions.

    Returns
    -------
    tuple of array, (n,)
        Wave vector in radians per pixel; power over its mean; that of the noise model; and two
        relative standard deviations of the power for noise of that spectrum.
    """
    power = np.square(np.abs(transform(residual.values, residual.shape)))
    down = 2 * np.pi * scipy.fft.fftfreq(residual.shape[0])[:, None]
    across = 2 * np.pi * scipy.fft.rfftfreq(residual.shape[1])
    wave = np.hypot(down, across)
    number = np.minimum((wave / np.pi * _SPECTRUM_BINS).astype(int), _SPECTRUM_BINS - 1)
    count = _sums(number, np.ones_like(wave))
    some = count > 0
    found, model = (_sums(number, one)[some] / count[some] for one in (power, residual.power))
    centres = (np.flatnonzero(some) + 0.5) * np.pi / _SPECTRUM_BINS
    level = float(power.mean()) or 1.0
    return (
        centres,
        found / level,
        model / max(float(residual.power.mean()), 1e-300),
        2.0 / np.sqrt(count[some]),
    )


def _sums(number: NDArray[np.intp], values: Image) -> Image:
    """Sum values by bin."""
    sums = np.bincount(number.ravel(), values.ravel(), minlength=_SPECTRUM_BINS)
    return np.asarray(sums, np.float64)
