"""The alternatives to a sum of kernels: what each explains, and which of them to tell."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from qpi_kernels.extraction.residual_checks.mark_deviations import MarkDeviations
from qpi_kernels.extraction.residual_checks.marked_residual import MarkedResidual, usual_chi2
from qpi_kernels.extraction.residual_checks.multiple_scattering import scattered_chi2
from qpi_kernels.extraction.residual_checks.scan_order import ScanOrder
from qpi_kernels.extraction.residual_checks.second_kind import PatchComponent
from qpi_kernels.extraction.residual_checks.transforms import Image
from qpi_kernels.extraction.residual_checks.unmarked_defects import UnmarkedDefects
from qpi_kernels.quality import Reason, Trust

__all__ = ["Alternative", "explained_alternatives", "told_reasons"]

# Deviations of a normal number beyond which something is no chance where it was looked for at one
# place, and where the best of many scan lines, components or pixels was taken.
_SIGMAS, _SEARCHED_SIGMAS = 4.0, 5.0
# Noise that is not quite that of the model shows in many numbers.
_MANY_SIGMAS = 5.5
# The scatter of principal components and of sums over dependent marks, over that of chi-squared.
_COMPONENT_MARGIN = 1.5
# Alternatives of few numbers are preferred to those that can imitate them with many.
_FEW_NUMBERS, _SEARCHED = 2.0, 1.5
# Groups of marks that the scan reached one after the other, as far apart as the best groups: hardly
# ever for kinds, always after a tip change.
_NOT_IN_TIME, _IN_TIME, _TWO_GROUPS = 0.7, 0.9, 0.75
# Change of strength at an empty mark, how exactly, and the share of a shape that may be left.
_EMPTY, _EMPTY_ERROR, _EMPTY_SHAPE = -1.0, 0.2, 0.5
# What interpolation between pixels can not carry is like these, and explains up to 1.5 times the
# square of the kernel's share in short waves (161 sound maps of spots 0.3 to 0.7 pixels wide).
_LIKE_SHARPNESS = frozenset({"marks_displaced", "second_kind", "strengths_differ"})
_SHARPNESS = 2.0
# Part of the expected error, and of the map, below which a wrong model does not matter.
_HARMLESS, _MIN_EFFECT = 0.3, 2e-3


@dataclass(frozen=True)
class Alternative:
    """A change of the model, and what it explains of a residual.

    Parameters
    ----------
    chi2 : float
        Chi-squared that it explains.
    usual : float
        What noise hardly exceeds.
    chance : float
        What noise explains on average.
    code : str
        Code of the reason that tells it.
    place : str
        Line, size or number, for words.
    weight : float
        Preference over alternatives that explain as much.
    averaged : int
        Over how many independent changes its effect on the kernel averages.
    """

    chi2: float
    usual: float
    chance: float
    code: str
    place: str = ""
    weight: float = 1.0
    averaged: int = 1

    @property
    def excess(self) -> float:
        """Chi-squared beyond chance, zero where that is not significant."""
        return self.chi2 - self.chance if self.chi2 > self.usual else 0.0


def explained_alternatives(residual: MarkedResidual, patterns: Image) -> dict[str, Alternative]:
    """Test what each alternative explains.

    Parameters
    ----------
    residual : MarkedResidual
        With at least a few marks.
    patterns : array, (4, rows, columns)
        From `change_patterns`.

    Returns
    -------
    dict of str to Alternative
    """
    deviations = MarkDeviations.fit(residual)
    after = residual.white - residual.whiten(deviations.pattern(residual))
    before, rest = PatchComponent.clearest(residual, residual.white, after)
    order = ScanOrder.of(residual, patterns)
    spread, moved = (residual.colour(one) for one in (patterns[:1], patterns[1:3]))
    found = _of_marks(deviations, rest, spread, moved)
    found |= _of_scan_order(order, spread, moved)
    scattered = scattered_chi2(residual, patterns)
    if scattered is not None:
        found["multiple_scattering"] = Alternative(
            scattered / spread,
            usual_chi2(2, _SIGMAS),
            2,
            "multiple_scattering",
            weight=_FEW_NUMBERS,
        )
    if rest is not None:
        usual = _COMPONENT_MARGIN * rest.chance + _SEARCHED_SIGMAS
        found["second_kind"] = Alternative(
            rest.chi2 / spread, usual, rest.chance, "second_kind", f"{rest.minority:.0%}"
        )
    unmarked = UnmarkedDefects.search(residual, after)
    found["unmarked_defects"] = Alternative(
        unmarked.chi2, _SEARCHED_SIGMAS**2, 0.0, "unmarked_defects", str(unmarked.found)
    )
    return _weighed_by_time(found, before)


def told_reasons(
    found: dict[str, Alternative],
    energy: float,
    expected_error: float,
    *,
    short_waves: float = 0.0,
) -> list[Reason]:
    """Tell the alternative that explains most, if any explains more than chance.

    Parameters
    ----------
    found : dict of str to Alternative
        From `explained_alternatives`.
    energy : float
        Sum of squares of the whitened prediction.
    expected_error : float
        Rms standard deviation of the kernel over its rms. An effect that is small against it is
        told, but not held against the kernel.
    short_waves : float
        Share of the kernel in waves too short for its pixels, where that is told.
    """
    told = max(found.values(), key=lambda one: one.weight * one.excess, default=None)
    if told is None or told.excess <= 0:
        return []
    share = told.excess / max(energy, 1e-300)
    if told.code in _LIKE_SHARPNESS and share < _SHARPNESS * short_waves**2:
        return []
    effect = float(np.sqrt(share / told.averaged))
    trust: Trust = "uncertain" if effect > max(_HARMLESS * expected_error, _MIN_EFFECT) else "good"
    return [
        Reason(
            code=told.code, number=told.chi2, threshold=told.usual, place=told.place, trust=trust
        )
    ]


def _of_marks(
    deviations: MarkDeviations, rest: PatchComponent | None, spread: float, moved: float
) -> dict[str, Alternative]:
    """Take the marks' places and strengths for what is wrong."""
    count = len(deviations.chosen)
    if not count:
        return {}
    rms = float(np.sqrt(np.square(deviations.moved).sum(axis=1).mean()))
    strengths = Alternative(
        deviations.strength_chi2 / spread,
        usual_chi2(count, _MANY_SIGMAS),
        count,
        "strengths_differ",
        f"{deviations.strength.std():.0%}",
        averaged=count,
    )
    empty = int((np.abs(deviations.strength - _EMPTY) < _EMPTY_ERROR).sum())
    shape = 0.0 if rest is None else (rest.chi2 - rest.chance) / spread
    if empty and shape < _EMPTY_SHAPE * strengths.excess:
        strengths = replace(strengths, code="marks_empty", place=str(empty), averaged=1)
    elif rest is not None and rest.chi2 > _COMPONENT_MARGIN * rest.chance:
        place = f"{rest.minority:.0%}"
        strengths = replace(strengths, code="second_kind", place=place, averaged=1)
    return {
        "positions": Alternative(
            deviations.moved_chi2 / moved,
            usual_chi2(2 * count, _MANY_SIGMAS),
            2 * count,
            "marks_displaced",
            f"{rms:.2g}",
        ),
        "strengths": strengths,
    }


def _of_scan_order(order: ScanOrder, spread: float, moved: float) -> dict[str, Alternative]:
    """Take the time of the scan for what is wrong."""
    return {
        "tip_change": Alternative(
            order.tip.chi2 / max(spread, moved),
            usual_chi2(5, _SEARCHED_SIGMAS),
            5,
            "tip_change",
            str(order.tip.line),
            weight=_SEARCHED,
        ),
        "drift": Alternative(
            order.drift / moved,
            usual_chi2(4, _SIGMAS),
            4,
            "drift",
            weight=_FEW_NUMBERS if order.drift >= order.tip.moves else 0.0,
        ),
        "shear": Alternative(
            order.shear / moved, usual_chi2(2, _SIGMAS), 2, "drift_within", weight=_FEW_NUMBERS
        ),
    }


def _weighed_by_time(
    found: dict[str, Alternative], component: PatchComponent | None
) -> dict[str, Alternative]:
    """Doubt changes with time if marks differ in no order of time, and kinds if they do."""
    if component is None or component.chi2 < _COMPONENT_MARGIN * component.chance:
        return found
    two_groups = component.apart > _TWO_GROUPS
    if component.apart_in_time < _NOT_IN_TIME * component.apart:
        names = ["tip_change", "drift", "shear"] if two_groups else ["tip_change"]
        return found | {name: replace(found[name], weight=0.0) for name in names}
    if not (two_groups and component.apart_in_time > _IN_TIME * component.apart):
        return found
    names = [name for name in ("second_kind", "strengths") if name in found]
    return found | {name: replace(found[name], weight=1 / _SEARCHED) for name in names}
