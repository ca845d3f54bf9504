"""Defects that show in the residual but are not marked."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

from qpi_kernels.extraction.residual_checks.marked_residual import Image, MarkedResidual, Spectra

__all__ = ["UnmarkedDefects"]

_SIGMAS = 5.5
_DISTANCE_PX = 3
_MIN_VISIBLE = 0.4
_STRENGTHS = (0.6, 2.0)


class UnmarkedDefects(NamedTuple):
    """Peaks of the matched filter away from all marks, as strong as the marked defects.

    `qpi_kernels.extraction.refine.defect_review.proposed_defects` places them one by one.

    Parameters
    ----------
    chi2 : float
        Sum of their squared signal-to-noise ratios.
    found : int
        Their number.
    """

    chi2: float
    found: int

    @classmethod
    def search(cls, residual: MarkedResidual, white: Image) -> UnmarkedDefects:
        """Filter a whitened residual with the kernel of each kind."""
        allowed = _away_from(residual.defects.positions, residual.shape)
        weighted = scipy.fft.irfft2(
            scipy.fft.rfft2(white) / np.sqrt(residual.power), residual.shape
        )
        plain = scipy.fft.irfft2(scipy.fft.rfft2(white) * np.sqrt(residual.power), residual.shape)
        best = np.zeros(residual.shape)
        for number, kind in enumerate(residual.defects.kinds):
            strengths = residual.defects.of_kind(kind).strength
            if not strengths.any():
                continue
            typical = float(np.median(strengths[strengths != 0]))
            kernel = typical * residual.kernels[number]
            visible = _visible(residual, kernel)
            # The energy of the kernel's wave under the noise, and without it.
            known = np.zeros(residual.shape)
            known[tuple(slice(0, size) for size in kernel.shape)] = kernel
            power = np.square(np.abs(scipy.fft.rfft2(known)))
            energies = (_sum(power / residual.power, known), float(np.square(kernel).sum()))
            spectrum = residual.spectra(kernel)
            score, *strength = (
                _filtered(residual, image, spectrum) / np.maximum(energy, 1e-300) / visible
                for image, energy in zip((weighted, weighted, plain), (1.0, *energies), strict=True)
            )
            score *= np.sqrt(visible / max(energies[0], 1e-300))
            score /= max(1.0, float(np.median(np.abs(score))) / 0.6745)
            alike = allowed & (visible > _MIN_VISIBLE)
            for one in strength:
                alike &= (one > _STRENGTHS[0]) & (one < _STRENGTHS[1])
            best = np.maximum(best, np.where(alike, np.abs(score), 0.0))
        highest = best == scipy.ndimage.maximum_filter(best, 2 * _DISTANCE_PX + 1)
        peaks = best[highest & (best > _SIGMAS)]
        return cls(float(np.square(peaks).sum()), len(peaks))


def _away_from(positions: Image, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Find the pixels farther than the least distance from all positions, (rows, columns)."""
    side = 2 * _DISTANCE_PX + 3
    around = np.indices((side, side)).reshape(2, -1).T - side // 2
    near = np.rint(positions).astype(int)[:, None] + around
    close = np.hypot(*(near - positions[:, None]).transpose(2, 0, 1)) <= _DISTANCE_PX
    close &= ((near >= 0) & (near < np.array(shape))).all(axis=-1)
    away = np.ones(shape, bool)
    away[tuple(near[close].T)] = False
    return away


def _filtered(residual: MarkedResidual, image: Image, spectrum: Spectra) -> Image:
    """Correlate what counts of an image with a window, (rows, columns)."""
    product = scipy.fft.rfft2(image * residual.mask, residual.extent) * spectrum.conj()
    rows, columns = residual.shape
    return np.asarray(scipy.fft.irfft2(product, residual.extent)[:rows, :columns])


def _visible(residual: MarkedResidual, kernel: Image) -> Image:
    """Compute the share of a kernel's energy on counted pixels, for a defect at each pixel."""
    shown = _filtered(residual, np.ones(residual.shape), residual.spectra(np.square(kernel)))
    return np.asarray((shown / max(float(np.square(kernel).sum()), 1e-300)).clip(1e-3, 1.0))


def _sum(half: Image, image: Image) -> float:
    """Sum a half spectrum over all wave vectors, as a sum over the pixels of an image."""
    return float(scipy.fft.irfft2(half, image.shape)[0, 0])
