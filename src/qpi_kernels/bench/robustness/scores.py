"""Errors and warnings of the methods on maps on which the sum of kernels is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np
import xarray as xr

from qpi_kernels.bench.robustness.faults import FAULTS
from qpi_kernels.bench.robustness.maps import (
    ALIKE,
    STRONG,
    UNLIKE,
    WEAK,
    RobustnessMap,
    coupled_map,
    displaced_map,
    mixed_map,
    plain_map,
    step_map,
)
from qpi_kernels.extraction.extract import extract
from qpi_kernels.extraction.registry import methods_with
from qpi_kernels.metrics import affine_invariant_nrmse
from qpi_kernels.quality import Trust
from qpi_kernels.result import KernelResult

__all__ = [
    "ROBUSTNESS_CASES",
    "MapScore",
    "RobustnessCase",
    "RobustnessScores",
    "first_kind",
    "map_scores",
    "robustness_scores",
]

_WITHIN_95, _COVERED = 1.959964, 0.9
_GENERAL = ("residual_structure", "residual_excess", "little_explained", "coloured_noise")

RobustnessMethod = Literal["average", "least_squares", "two_step", "bayes"]


@dataclass(frozen=True)
class RobustnessCase:
    """A way in which a map departs from the sum of kernels, or a remedy."""

    name: str
    """Name in tables."""
    build: Callable[..., RobustnessMap]
    """Makes a map of a seed and of ``snr``."""
    refine: Literal["positions"] | None = None
    """As of `RefinableParameters`, for the methods that have it."""

    def run(self, found: RobustnessMap, method: str) -> KernelResult:
        """Extract, with the default of every other choice."""
        return extract(
            found.observation,
            found.marked,
            mask=found.counted,
            kernel_shape=found.kernel.shape,
            method=method,
            refine=self.refine if method in methods_with("refine") else ...,
        )


def _step(**changes: float | bool) -> Callable[..., RobustnessMap]:
    return partial(step_map, **changes)  # type: ignore[arg-type]


ROBUSTNESS_CASES = {
    "nothing wrong": (RobustnessCase("20 defects", plain_map),),
    "step edge": (
        RobustnessCase("its waves, nothing masked", _step()),
        RobustnessCase("only the edge masked, 1 nm to each side", _step(masked_nm=1)),
        RobustnessCase("masked as far as its waves are seen, 8 nm", _step(masked_nm=8)),
        RobustnessCase("with a jump in height, nothing masked", _step(jump=10)),
        RobustnessCase("with a jump, 8 nm masked", _step(jump=10, masked_nm=8)),
        RobustnessCase("with a jump, one terrace", _step(jump=10, masked_nm=8, one_terrace=True)),
    ),
    "multiple scattering": tuple(
        RobustnessCase(
            f"{count} {words} defects", partial(coupled_map, count=count, impurity=potential)
        )
        for words, potential in (("weak", WEAK), ("strong", STRONG))
        for count in (20, 60, 200)
    ),
    "unlabelled kinds": (
        RobustnessCase("16 + 4 unlike, one label", partial(mixed_map, second=UNLIKE, others=4)),
        RobustnessCase("10 + 10 unlike, one label", partial(mixed_map, second=UNLIKE, others=10)),
        RobustnessCase(
            "10 + 10 unlike, two labels",
            partial(mixed_map, second=UNLIKE, others=10, labelled=True),
        ),
        RobustnessCase("10 + 10 alike, one label", partial(mixed_map, second=ALIKE, others=10)),
        RobustnessCase(
            "10 + 10 alike, two labels", partial(mixed_map, second=ALIKE, others=10, labelled=True)
        ),
    ),
    "bent positions": (
        RobustnessCase("marks off by 0.5 px (rms)", partial(displaced_map, rms_px=0.5)),
        RobustnessCase("marks off by 1 px", partial(displaced_map, rms_px=1.0)),
        RobustnessCase("the same, refined", partial(displaced_map, rms_px=1.0), refine="positions"),
    ),
}
"""By what is wrong with the model."""


@dataclass(frozen=True)
class MapScore:
    """Answer of one method for one map.

    Parameters
    ----------
    nrmse : float
        `affine_invariant_nrmse` of the (first) kernel.
    coverage : float
        Share of its pixels within 1.96 standard deviations of the truth.
    chi2 : float
        Reduced chi-squared.
    trust : str
        `Quality.trust`.
    told : str
        Code of the first reason that names a fault, or else more than noise; empty without.
    left_out : float
        See `RobustnessMap`.
    """

    nrmse: float
    coverage: float
    chi2: float
    trust: Trust
    told: str
    left_out: float


@dataclass(frozen=True)
class RobustnessScores:
    """Of one case over some seeds; medians.

    Parameters
    ----------
    left_out : float
        See `RobustnessMap`.
    nrmse : dict
        `affine_invariant_nrmse` by method, where it runs.
    chi2, coverage : float
        Reduced chi-squared of bayes, and the share of its pixels within 1.96 standard deviations
        of the truth.
    maps, doubted : int
        Number of seeds, and of those in which the trust in bayes is not good.
    believed_wrongly : int
        Number of seeds in which it is good though less than 90 % of the pixels are covered.
    told : dict of str to int
        Number of seeds by `MapScore.told` of bayes.
    """

    left_out: float
    nrmse: dict[str, float]
    chi2: float
    coverage: float
    maps: int
    doubted: int
    believed_wrongly: int
    told: dict[str, int]


def map_scores(
    case: RobustnessCase,
    seed: int,
    *,
    snr: float = 10.0,
    methods: tuple[str, ...] = get_args(RobustnessMethod),
) -> dict[str, MapScore]:
    """Run the methods on one map of a case.

    Parameters
    ----------
    case : RobustnessCase
        Of `ROBUSTNESS_CASES`.
    seed : int
        Of the map.
    snr : float
        Variance of the defects' pattern over that of the noise.
    methods : tuple of str
        Without those that can not run there: two_step knows one kind only.
    """
    found = case.build(seed, snr=snr)
    several = len(found.marked.kinds) > 1
    return {
        method: _score(found, case.run(found, method))
        for method in methods
        if not (several and method == "two_step")
    }


def robustness_scores(maps: Sequence[Mapping[str, MapScore]]) -> RobustnessScores:
    """Sum up the maps of a case.

    Parameters
    ----------
    maps : sequence of mapping of str to MapScore
        Of `map_scores`, each with bayes.
    """
    bayes = [one["bayes"] for one in maps]
    names = dict.fromkeys(name for one in maps for name in one)
    return RobustnessScores(
        left_out=float(np.median([one.left_out for one in bayes])),
        nrmse={
            name: float(np.median([one[name].nrmse for one in maps if name in one]))
            for name in names
        },
        chi2=float(np.median([one.chi2 for one in bayes])),
        coverage=float(np.median([one.coverage for one in bayes])),
        maps=len(maps),
        doubted=sum(one.trust != "good" for one in bayes),
        believed_wrongly=sum(one.coverage < _COVERED and one.trust == "good" for one in bayes),
        told=dict(Counter(one.told for one in bayes)),
    )


def _score(found: RobustnessMap, result: KernelResult) -> MapScore:
    """Score an answer."""
    kernel, std = first_kind(result.kernel), first_kind(result.std)
    return MapScore(
        nrmse=float(affine_invariant_nrmse(found.kernel, kernel)),
        coverage=float(np.mean(np.abs(kernel - found.kernel) < _WITHIN_95 * std)),
        chi2=float(result.quality.reduced_chi2[0]),
        trust=result.quality.trust,
        told=_told(result),
        left_out=found.left_out,
    )


def first_kind(kernel: xr.DataArray) -> np.ndarray:
    """Return the first kernel, (h, w), of one or several kinds."""
    return np.asarray(kernel.isel(kind=0) if "kind" in kernel.dims else kernel, np.float64)


def _told(result: KernelResult) -> str:
    """Return the code of the reason that names a fault, or that there is more than noise."""
    codes = [reason.code for reason in result.quality.reasons]
    named = [code for code in codes if code in FAULTS.values() or code == "strengths_differ"]
    return next((code for code in [*named, *_GENERAL] if code in codes), "")
