"""Defects that were not marked, and marks where no defect is, from what an extraction leaves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.stats
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.refine.position_fit import PointPrior, PositionFit
from qpi_kernels.extraction.refine.residual import ResidualMap, leftover
from qpi_kernels.extraction.refine.shifted_kernel import ShiftedKernel
from qpi_kernels.result import KernelResult

__all__ = ["DefectReport", "marked_defects", "proposed_defects", "spurious_defects"]

_MIN_SHARE = 0.5
_DISTANCE_PX = 2.0
_PLACING_PX = 1.0
_FREE_SPREAD = 100.0
_SWEEPS = 8
_SURE = 2.0


@dataclass(frozen=True, eq=False)
class DefectReport:
    """Defects to look at, the clearest first.

    Parameters
    ----------
    defects : Defects
        Positions in px, kinds, and strengths as found.
    strength_error : array, (N,)
        Standard error of each strength.
    z_score : array, (N,)
        Strength over its standard error.
    index : array of int, (N,)
        Rows of the marked defects that these are; -1 for new ones.
    """

    defects: Defects
    strength_error: NDArray[np.float64]
    z_score: NDArray[np.float64]
    index: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.defects)

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> DefectReport:
        return DefectReport(
            self.defects[chosen],
            self.strength_error[chosen],
            self.z_score[chosen],
            self.index[chosen],
        )


def proposed_defects(
    result: KernelResult,
    *,
    mask: NDArray[np.bool_] | None = None,
    false_alarms: float = 0.05,
    max_count: int = 100,
) -> DefectReport:
    r"""Defects that show in the residual but were not marked.

    The residual is filtered with each kernel ``A``; with noise of variance :math:`1/w` and the
    mask ``W`` the strength that fits best at a pixel, and what it is in standard errors, are

    .. math:: \hat s(r) = C(r) / E(r), \quad z(r) = C(r) / \sqrt{E(r)}, \quad
              C = w \sum_u A(u) R(r + u), \quad E = w \sum_u A(u)^2 W(r + u).

    The highest ``z`` is placed to a fraction of a pixel, its wave taken off the residual, and so on
    down to the threshold. Scores are over the scatter of the map of ``z`` itself where that is
    wider than 1, as with noise that is not white.

    Parameters
    ----------
    result : KernelResult
        Of any estimator; better after refinement.
    mask : array of bool, (rows, columns), optional
        True where a pixel counted in the extraction.
    false_alarms : float
        Proposals to expect, at most, in a map where nothing was missed: sets the threshold, with
        every pixel of every kind counted as a chance (Bonferroni).
    max_count : int
        Proposals at most.

    Returns
    -------
    DefectReport
        By falling z-score. Left out are strengths below half of the median of the kind, for what an
        inexact kernel leaves looks like weak defects, and places closer than 2 px to a marked one,
        for what a misplaced defect leaves looks like another.
    """
    left = leftover(result, mask)
    chances = max(int(left.mask.sum()), 1) * len(left.kernels)
    threshold = float(scipy.stats.norm.isf(min(false_alarms / chances, 0.5)))
    marked = result.defects
    search = _Search(left, marked)
    found: list[tuple[Defects, float, float]] = []
    while len(found) < max_count:
        candidate = search.clearest()
        if candidate is None or candidate[2] < threshold:
            break
        found.append(candidate)
    return DefectReport(
        Defects.concatenate(each[0] for each in found),
        np.array([each[1] for each in found]),
        np.array([each[2] for each in found]),
        np.full(len(found), -1),
    )


class _Search:
    """Matched filter of a residual from which found defects are taken off."""

    def __init__(self, left: ResidualMap, marked: Defects) -> None:
        self._left = left
        self._values = left.values.copy()
        self._usual = {kind: _usual_strength(marked, kind) for kind in left.kernels}
        self._open = left.mask.copy()
        for position in marked.positions:
            self._close(position)
        self._energy = {
            kind: self._filtered(np.square(kernels), np.broadcast_to(left.mask, left.values.shape))
            for kind, kernels in left.kernels.items()
        }
        scores = [self._scores(kind)[0][left.mask] for kind in left.kernels]
        medians = [float(np.median(np.abs(score))) / 0.6745 for score in scores]
        self._scatter = max(1.0, *medians)

    def _close(self, position: NDArray[np.float64]) -> None:
        rows, cols = (np.arange(size) for size in self._open.shape)
        away = np.hypot(rows[:, None] - position[0], cols[None, :] - position[1])
        self._open &= away > _DISTANCE_PX

    def _filtered(
        self, kernels: NDArray[np.float64], images: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Weighted correlation of images with kernels about their centres, (rows, columns)."""
        shape = images.shape[-2:]
        window = kernels.shape[-2:]
        extent = [
            scipy.fft.next_fast_len(n + k, real=True) for n, k in zip(shape, window, strict=True)
        ]
        product = scipy.fft.rfft2(images, extent) * scipy.fft.rfft2(kernels, extent).conj()
        summed = np.einsum("p,pyx->yx", self._left.weight, product)
        found = scipy.fft.irfft2(summed, extent)
        found = np.roll(found, (window[0] // 2, window[1] // 2), axis=(0, 1))
        return np.asarray(found[: shape[0], : shape[1]])

    def _scores(self, kind: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Score and strength at every pixel; zero where little of the kernel is seen."""
        energy = self._energy[kind]
        told = energy > 0.05 * energy.max(initial=0.0)
        divisor = np.where(told, energy, 1.0)
        match = self._filtered(self._left.kernels[kind], self._values)
        return (
            np.where(told, match / np.sqrt(divisor), 0.0),
            np.where(told, match / divisor, 0.0),
        )

    def clearest(self) -> tuple[Defects, float, float] | None:
        """The defect of the highest score, its strength's error and its score; taken off."""
        best: tuple[float, str, NDArray[np.intp]] | None = None
        for kind, usual in self._usual.items():
            score, strength = self._scores(kind)
            allowed = self._open & (strength * np.sign(usual) > _MIN_SHARE * abs(usual))
            score = np.where(allowed, np.abs(score), 0.0)
            peak = np.array(np.unravel_index(score.argmax(), score.shape))
            height = float(score[peak[0], peak[1]]) / self._scatter
            if height > 0 and (best is None or height > best[0]):
                best = height, kind, peak
        if best is None:
            return None
        return self._placed(best[1], best[2])

    def _placed(self, kind: str, peak: NDArray[np.intp]) -> tuple[Defects, float, float]:
        start = Defects([peak], kind, [self._usual[kind]])
        view = ShiftedKernel(
            self._left.kernels[kind],
            (int(peak[0]), int(peak[1])),
            self._open.shape,
            int(2 * _PLACING_PX) + 1,
        )
        rows, cols = view.window
        # As if it had been marked there: the fit wants the residual that its wave leaves.
        values = self._values.copy()
        wave = float(start.strength[0]) * view.at(start.positions[0]) * self._left.mask[rows, cols]
        values[:, rows, cols] -= wave
        here = ResidualMap(values, self._left.mask, self._left.weight, self._left.kernels)
        prior = PointPrior(_PLACING_PX, _FREE_SPREAD, _PLACING_PX)
        fit = PositionFit.solve(start, start, here, prior)
        position, strength = fit.defects.positions[0], float(fit.defects.strength[0])
        self._values[:, rows, cols] -= strength * view.at(position) * self._left.mask[rows, cols]
        self._close(position)
        self._close(peak.astype(float))
        error = float(fit.strength_error[0]) * abs(self._usual[kind]) * self._scatter
        return fit.defects, error, abs(strength) / error


def marked_defects(result: KernelResult, *, mask: NDArray[np.bool_] | None = None) -> DefectReport:
    """How strongly every marked defect shows, fitted together without a prior.

    Parameters
    ----------
    result : KernelResult
        Of any estimator; better after refinement.
    mask : array of bool, (rows, columns), optional
        True where a pixel counted in the extraction.

    Returns
    -------
    DefectReport
        One entry per defect, in their order; strengths in units of the kind's median.
    """
    left = leftover(result, mask)
    marked = result.defects
    # Strengths of zero have no share of the kernel that could be scaled.
    given = Defects(
        marked.positions, marked.kind, np.where(marked.strength == 0, 1e-12, marked.strength)
    )
    prior = PointPrior(1e-6, _FREE_SPREAD, 1e-6)
    fit = PositionFit.solve(given, given, left, prior, sweeps=_SWEEPS)
    strength = np.array(fit.defects.strength)
    error = fit.strength_error * np.abs(given.strength)
    for kind in marked.kinds:
        chosen = marked.kind == kind
        usual = float(np.median(strength[chosen])) or 1.0
        strength[chosen] /= usual
        error[chosen] /= abs(usual)
    defects = Defects(marked.positions, marked.kind, strength)
    score = strength / np.maximum(error, 1e-300)
    return DefectReport(defects, error, score, np.arange(len(marked)))


def spurious_defects(
    result: KernelResult, *, mask: NDArray[np.bool_] | None = None, share: float = 0.5
) -> DefectReport:
    """Marked defects of which hardly anything is to be seen.

    Parameters
    ----------
    result : KernelResult
        Of any estimator; better after refinement.
    mask : array of bool, (rows, columns), optional
        True where a pixel counted in the extraction.
    share : float
        Flagged are strengths that are, by two standard errors, below this share of the median of
        their kind. A defect that is too faint to tell, say outside of the image, is not flagged.

    Returns
    -------
    DefectReport
        The weakest first.
    """
    report = marked_defects(result, mask=mask)
    strength = report.defects.strength
    flagged = np.flatnonzero(strength + _SURE * report.strength_error < share)
    return report[flagged[np.argsort(strength[flagged])]]


def _usual_strength(defects: Defects, kind: str) -> float:
    strengths = defects.of_kind(kind).strength
    return float(np.median(strengths[strengths != 0])) if strengths.any() else 1.0
