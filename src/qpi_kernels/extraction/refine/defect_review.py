"""Missed defects, and marks where no defect shows, from the residual of an extraction."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.stats
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.refine.position_fit import PointPrior, PositionFit
from qpi_kernels.extraction.refine.residual import ResidualMap, residual_map
from qpi_kernels.extraction.refine.shifted_kernel import ShiftedKernel
from qpi_kernels.progress import Event, finish
from qpi_kernels.result import KernelResult

__all__ = [
    "DefectReport",
    "marked_defects",
    "proposed_defects",
    "search_proposals",
    "search_spurious",
    "spurious_defects",
]

_MIN_SHARE = 0.5
_DISTANCE_PX = 2.0
_PLACING_PX = 1.0
_FREE_SPREAD = 100.0
_SWEEPS = 8
_STANDARD_ERRORS = 2.0


@dataclass(frozen=True, eq=False)
class DefectReport:
    """Defects to review, the clearest first.

    Parameters
    ----------
    defects : Defects
        Positions in px, kinds, and fitted strengths.
    strength_error : array, (N,)
        Standard error of each strength.
    z_score : array, (N,)
        Strength over its standard error.
    index : array of int, (N,)
        Rows in the table of marked defects; -1 for new ones.
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
    r"""Find defects that show in the residual but were not marked.

    The residual is filtered with each kernel ``A``; with noise of variance :math:`1/w` and the
    mask ``W`` the best-fitting strength at a pixel, and its ratio to its standard error, are

    .. math:: \hat s(r) = C(r) / E(r), \quad z(r) = C(r) / \sqrt{E(r)}, \quad
              C = w \sum_u A(u) R(r + u), \quad E = w \sum_u A(u)^2 W(r + u).

    The defect of the highest ``z`` is placed to a fraction of a pixel and its wave subtracted from
    the residual, and so on down to the threshold. Scores are divided by the scatter of the map of
    ``z`` itself where that is wider than 1, as with noise that is not white.

    Parameters
    ----------
    result : KernelResult
        Of any estimator; better after refinement.
    mask : array of bool, (rows, columns), optional
        True where a pixel counted in the extraction.
    false_alarms : float
        Expected number of proposals in a map where nothing was missed, at most: sets the threshold,
        with every pixel of every kind counted as a test (Bonferroni).
    max_count : int
        Maximum number of proposals.

    Returns
    -------
    DefectReport
        By falling z-score. Left out are strengths below half of the median of the kind, for the
        residual of an inexact kernel looks like weak defects, and positions closer than 2 px to a
        marked one, for the residual of a misplaced defect looks like another.
    """
    return finish(
        search_proposals(result, mask=mask, false_alarms=false_alarms, max_count=max_count)
    )


def search_proposals(
    result: KernelResult,
    *,
    mask: NDArray[np.bool_] | None = None,
    false_alarms: float = 0.05,
    max_count: int = 100,
) -> Generator[Event, None, DefectReport]:
    """Find defects as `proposed_defects` does, with an event after each."""
    residual = residual_map(result, mask)
    tests = max(int(residual.mask.sum()), 1) * len(residual.kernels)
    threshold = float(scipy.stats.norm.isf(min(false_alarms / tests, 0.5)))
    yield Event("Looking for missed defects", 0, max_count)
    search = _Search(residual, result.defects)
    proposals: list[tuple[Defects, float, float]] = []
    while len(proposals) < max_count:
        candidate = search.take_clearest()
        if candidate is None or candidate[2] < threshold:
            break
        proposals.append(candidate)
        yield Event("Looking for missed defects", len(proposals), max_count)
    return DefectReport(
        Defects.concatenate(defect for defect, _, _ in proposals),
        np.array([error for _, error, _ in proposals]),
        np.array([score for _, _, score in proposals]),
        np.full(len(proposals), -1),
    )


class _Search:
    """Matched filter of a residual from which proposed defects are subtracted."""

    def __init__(self, residual: ResidualMap, marked: Defects) -> None:
        self._residual = residual
        self._values = residual.values.copy()
        self._typical = {kind: _typical_strength(marked, kind) for kind in residual.kernels}
        self._allowed = residual.mask.copy()
        for position in marked.positions:
            self._exclude(position)
        counted = np.broadcast_to(residual.mask.astype(float), residual.values.shape)
        self._energy = {
            kind: self._filtered(np.square(kernels), counted)
            for kind, kernels in residual.kernels.items()
        }
        scores = [self._scores(kind)[0][residual.mask] for kind in residual.kernels]
        medians = [float(np.median(np.abs(score))) / 0.6745 for score in scores]
        self._scatter = max(1.0, *medians)

    def _exclude(self, position: NDArray[np.float64]) -> None:
        """Exclude the surroundings of a defect from further proposals."""
        rows, cols = (np.arange(size) for size in self._allowed.shape)
        distance = np.hypot(rows[:, None] - position[0], cols[None, :] - position[1])
        self._allowed &= distance > _DISTANCE_PX

    def _filtered(
        self, kernels: NDArray[np.float64], images: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Correlate images with kernels about their centres, weighted, (rows, columns)."""
        shape = images.shape[-2:]
        window = kernels.shape[-2:]
        extent = [
            scipy.fft.next_fast_len(n + k, real=True) for n, k in zip(shape, window, strict=True)
        ]
        product = scipy.fft.rfft2(images, extent) * scipy.fft.rfft2(kernels, extent).conj()
        summed = np.einsum("p,pyx->yx", self._residual.weight, product)
        correlation = scipy.fft.irfft2(summed, extent)
        correlation = np.roll(correlation, (window[0] // 2, window[1] // 2), axis=(0, 1))
        return np.asarray(correlation[: shape[0], : shape[1]])

    def _scores(self, kind: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute score and strength at every pixel; zero where little of the kernel shows."""
        energy = self._energy[kind]
        shown = energy > 0.05 * energy.max(initial=0.0)
        divisor = np.where(shown, energy, 1.0)
        match = self._filtered(self._residual.kernels[kind], self._values)
        return (
            np.where(shown, match / np.sqrt(divisor), 0.0),
            np.where(shown, match / divisor, 0.0),
        )

    def take_clearest(self) -> tuple[Defects, float, float] | None:
        """Find the defect of the highest score, its strength's error and score; subtract it."""
        best: tuple[float, str, NDArray[np.intp]] | None = None
        for kind, typical in self._typical.items():
            score, strength = self._scores(kind)
            strong = strength * np.sign(typical) > _MIN_SHARE * abs(typical)
            allowed = self._allowed & strong
            score = np.where(allowed, np.abs(score), 0.0)
            peak = np.array(np.unravel_index(score.argmax(), score.shape))
            height = float(score[peak[0], peak[1]]) / self._scatter
            if height > 0 and (best is None or height > best[0]):
                best = height, kind, peak
        if best is None:
            return None
        return self._fit_and_subtract(best[1], best[2])

    def _fit_and_subtract(self, kind: str, peak: NDArray[np.intp]) -> tuple[Defects, float, float]:
        """Fit a defect of a kind near a peak, and subtract its wave from the residual."""
        mask = self._residual.mask
        start = Defects([peak], kind, [self._typical[kind]])
        view = ShiftedKernel(
            self._residual.kernels[kind],
            (int(peak[0]), int(peak[1])),
            self._allowed.shape,
            int(2 * _PLACING_PX) + 1,
        )
        rows, cols = view.window
        # As if it had been marked there: the fit expects the residual without its wave.
        values = self._values.copy()
        wave = float(start.strength[0]) * view.at(start.positions[0]) * mask[rows, cols]
        values[:, rows, cols] -= wave
        residual = ResidualMap(values, mask, self._residual.weight, self._residual.kernels)
        prior = PointPrior(_PLACING_PX, _FREE_SPREAD, _PLACING_PX)
        fit = finish(PositionFit.solve(start, start, residual, prior))
        position, strength = fit.defects.positions[0], float(fit.defects.strength[0])
        self._values[:, rows, cols] -= strength * view.at(position) * mask[rows, cols]
        self._exclude(position)
        self._exclude(peak.astype(float))
        error = float(fit.strength_error[0]) * abs(self._typical[kind]) * self._scatter
        return fit.defects, error, abs(strength) / error


def marked_defects(result: KernelResult, *, mask: NDArray[np.bool_] | None = None) -> DefectReport:
    """Fit the strengths of all marked defects together, without a prior.

    Parameters
    ----------
    result, mask
        As in `proposed_defects`.

    Returns
    -------
    DefectReport
        One entry per defect, in their order; strengths in units of the kind's median.
    """
    return finish(_fit_marked(result, mask))


def _fit_marked(
    result: KernelResult, mask: NDArray[np.bool_] | None
) -> Generator[Event, None, DefectReport]:
    """Fit strengths as `marked_defects` does, with an event for each fit."""
    residual = residual_map(result, mask)
    marked = result.defects
    # Strengths of zero have no share of the kernel that could be scaled.
    given = marked.with_strength(np.where(marked.strength == 0, 1e-12, marked.strength))
    prior = PointPrior(1e-6, _FREE_SPREAD, 1e-6)
    fit = yield from PositionFit.solve(given, given, residual, prior, sweeps=_SWEEPS)
    strength = np.array(fit.defects.strength)
    error = fit.strength_error * np.abs(given.strength)
    for kind in marked.kinds:
        chosen = marked.kind == kind
        typical = float(np.median(strength[chosen])) or 1.0
        strength[chosen] /= typical
        error[chosen] /= abs(typical)
    defects = marked.with_strength(strength)
    score = strength / np.maximum(error, 1e-300)
    return DefectReport(defects, error, score, np.arange(len(marked)))


def spurious_defects(
    result: KernelResult, *, mask: NDArray[np.bool_] | None = None, share: float = 0.5
) -> DefectReport:
    """Find marked defects that hardly show in the map.

    Parameters
    ----------
    result, mask
        As in `proposed_defects`.
    share : float
        Flagged are strengths that are, by two standard errors, below this share of the median of
        their kind. A defect of which the map shows too little, say outside of it, is not flagged.

    Returns
    -------
    DefectReport
        The weakest first.
    """
    return finish(search_spurious(result, mask=mask, share=share))


def search_spurious(
    result: KernelResult, *, mask: NDArray[np.bool_] | None = None, share: float = 0.5
) -> Generator[Event, None, DefectReport]:
    """Find marks as `spurious_defects` does, with an event for each fit."""
    report = yield from _fit_marked(result, mask)
    strength = report.defects.strength
    flagged = np.flatnonzero(strength + _STANDARD_ERRORS * report.strength_error < share)
    return report[flagged[np.argsort(strength[flagged])]]


def _typical_strength(defects: Defects, kind: str) -> float:
    """Return the median strength of a kind, leaving out zeros."""
    strengths = defects.of_kind(kind).strength
    return float(np.median(strengths[strengths != 0])) if strengths.any() else 1.0
