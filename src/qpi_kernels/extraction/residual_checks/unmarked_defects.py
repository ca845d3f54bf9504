"""Defects that show in the residual but are not marked."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from qpi_kernels.extraction.residual_checks.marked_residual import MarkedResidual
from qpi_kernels.extraction.residual_checks.transforms import (
    Image,
    half_weights,
    transform,
    transform_back,
)

__all__ = ["UnmarkedDefects"]

_SIGMAS = 5.5
_DISTANCE_PX = 3
_MIN_VISIBLE = 0.4
_MIN_SHOWN = 1e-3
_STRENGTHS = (0.6, 2.0)
# Avoids a division by zero in single precision.
_TINY = 1e-30


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
        root, shape, extent = residual.inverse_root, residual.shape, residual.extent
        factors = np.stack([root, 1.0 / root])
        weighed = transform_back(transform(white, shape) * factors, shape, shape)
        # What counts of the residual, with the noise's correlations undone, and without.
        weighted, plain = transform(weighed * residual.mask, extent)
        best = np.zeros(shape, np.float32)
        for number, kind in enumerate(residual.defects.kinds):
            strengths = residual.defects.of_kind(kind).strength
            if not strengths.any():
                continue
            typical = float(np.median(strengths[strengths != 0]))
            kernel = typical * residual.kernels[number]
            visible = np.maximum(residual.shown[number, : shape[0], : shape[1]], _MIN_SHOWN)
            # The energy of the kernel's wave under the noise, and without it.
            power = np.square(np.abs(transform(kernel, shape))) * half_weights(shape[1])
            energies = (
                float((power / residual.power).sum()) / white.size,
                float(np.square(kernel).sum()),
            )
            spectrum = typical * residual.derivatives[0, number].conj()
            correlated = np.stack([weighted, plain]) * spectrum
            matched, alone = transform_back(correlated, extent, shape) / visible
            strength = (
                one / max(energy, _TINY)
                for one, energy in zip((matched, alone), energies, strict=True)
            )
            score = np.abs(matched) * np.sqrt(visible / max(energies[0], _TINY))
            score /= max(1.0, float(np.median(score)) / 0.6745)
            alike = allowed & (visible > _MIN_VISIBLE)
            for one in strength:
                alike &= (one > _STRENGTHS[0]) & (one < _STRENGTHS[1])
            best = np.maximum(best, np.where(alike, score, 0.0))
        highest = best == scipy.ndimage.maximum_filter(best, 2 * _DISTANCE_PX + 1)
        peaks = best[highest & (best > _SIGMAS)]
        return cls(float(np.square(peaks, dtype=np.float64).sum()), len(peaks))


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
