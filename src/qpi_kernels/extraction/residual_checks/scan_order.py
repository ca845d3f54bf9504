"""Changes of the kernel or of the marks' places with the time of the scan."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.fft

from qpi_kernels.extraction.residual_checks.marked_residual import MarkedResidual, explained_chi2
from qpi_kernels.extraction.residual_checks.transforms import Image, Spectra

__all__ = ["ScanOrder", "TipChange", "change_patterns", "explained_beyond"]

# Share of the signal that must lie on either side of a tip change.
_MARGIN = 0.1
# Avoids a division by zero in single precision.
_TINY = 1e-30


class TipChange(NamedTuple):
    """A change of the kernel at a scan line.

    Parameters
    ----------
    chi2 : float
        Chi-squared that the change explains at the best line.
    line : int
        Its row.
    moves : float
        Chi-squared that a jump of the marks' places alone explains.
    """

    chi2: float
    line: int
    moves: float


class ScanOrder(NamedTuple):
    """Chi-squared that changes along the slow axis explain.

    Parameters
    ----------
    tip : TipChange
        One sudden change of strength, place or sharpness; five numbers, with the line.
    drift : float
        Displacement of the marks, quadratic in the time they were scanned at; four numbers.
    shear : float
        Shear and stretch of the kernel, linear in time; two numbers.
    """

    tip: TipChange
    drift: float
    shear: float

    @classmethod
    def of(cls, residual: MarkedResidual, patterns: Image) -> ScanOrder:
        """Test a residual.

        Parameters
        ----------
        residual : MarkedResidual
            With rows scanned one after the other, from the first to the last.
        patterns : array, (4, rows, columns)
            From `change_patterns`.
        """
        time = 2 * residual.defects.positions[:, 0] / residual.shape[0] - 1
        once, twice = residual.waves(time), residual.waves(time**2)
        slopes = residual.derivatives[1:]
        moves = np.concatenate([residual.pattern(slopes, marks) for marks in (once, twice)])
        drift = explained_beyond(residual.white, residual.whiten(moves), patterns)
        shear = _shear(residual, patterns, once)
        return cls(_tip_change(patterns, residual.white), drift, shear)


def change_patterns(residual: MarkedResidual) -> Image:
    """Compute the map's change with strength, row, column and blur of all marks, whitened.

    Returns
    -------
    array, (4, rows, columns)
    """
    down, across = residual.wave_vectors
    blur = residual.derivatives[:1] * (down**2 + across**2).astype(np.float32)
    changes = [residual.pattern(one) for one in (residual.derivatives, blur)]
    return residual.whiten(np.concatenate(changes))


def _tip_change(patterns: Image, white: Image) -> TipChange:
    """Find the line at which a change of the patterns' amounts explains most.

    Sums over rows of scores and of their covariance, less the share that a change of the whole map
    would have: a kernel that is fitted to the whole follows that.
    """
    lines = patterns.astype(np.float64).swapaxes(0, 1)
    scores = (lines @ white[:, :, None])[..., 0].cumsum(axis=0)
    normal = (lines @ lines.swapaxes(1, 2)).cumsum(axis=0)
    above = normal[:, 0, 0] / max(float(normal[-1, 0, 0]), 1e-300)
    rows = np.flatnonzero((above > _MARGIN) & (above < 1 - _MARGIN))
    if not len(rows):
        return TipChange(0.0, 0, 0.0)
    found = []
    for some in (slice(0, 4), slice(1, 3)):
        part = normal[:, some, some]
        share = part[rows] @ np.linalg.pinv(part[-1], rcond=1e-8, hermitian=True)
        change = scores[rows, some] - share @ scores[-1, some]
        covariance = part[rows] - share @ np.swapaxes(part[rows], 1, 2)
        found.append(explained_chi2(change, covariance))
    best = int(found[0].argmax())
    return TipChange(float(found[0][best]), int(rows[best]) + 1, float(found[1].max()))


def _shear(residual: MarkedResidual, patterns: Image, once: Spectra) -> float:
    """Test whether the kernel is sheared and stretched more and more, by marks times time."""
    height, width = residual.window
    below = (np.arange(height) - height // 2)[:, None]
    spectrum = scipy.fft.fft2(residual.kernels)
    slopes = [
        scipy.fft.ifft2(spectrum * 2j * np.pi * frequency).real
        for frequency in (scipy.fft.fftfreq(height)[:, None], scipy.fft.fftfreq(width)[None])
    ]
    spectra = residual.spectra(np.stack([below * slope for slope in slopes]))
    always, growing = (
        residual.whiten(residual.pattern(spectra, marks)) for marks in (residual.marks, once)
    )
    return explained_beyond(residual.white, growing, np.concatenate([patterns, always]))


def explained_beyond(white: Image, patterns: Image, fitted: Image) -> float:
    """Compute the chi-squared of patterns, with those projected out that a kernel can follow.

    Parameters
    ----------
    white : array, (rows, columns)
        Whitened residual.
    patterns, fitted : array, (n, rows, columns)
        Whitened changes of the map, to test and to leave out.
    """
    tested, known = (_unit(one.reshape(len(one), -1)) for one in (patterns, fitted))
    share = np.linalg.lstsq(known @ known.T, known @ tested.T, rcond=1e-6)[0]
    tested = tested - share.T @ known
    return float(explained_chi2(tested @ white.ravel(), tested @ tested.T))


def _unit(patterns: Image) -> Image:
    """Scale patterns (n, pixels) to unit length."""
    length = np.sqrt(np.square(patterns).sum(axis=1, keepdims=True))
    return np.asarray(patterns / np.maximum(length, _TINY))
