"""Errors and warnings of the methods on maps on which the sum of kernels is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
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
    "RobustnessCase",
    "RobustnessScores",
    "first_kind",
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
    doubted : float
        Share of the seeds in which the trust in bayes is not good.
    believed_wrongly : float
        Share of the seeds in which it is good though less than 90 % of the pixels are covered.
    told : dict of str to int
        Number of seeds by the code of the first reason that names a fault, or else more than noise.
    trust : str
        `Quality.trust` of bayes, for the first seed.
    """

    left_out: float
    nrmse: dict[str, float]
    chi2: float
    coverage: float
    doubted: float
    believed_wrongly: float
    told: dict[str, int]
    trust: Trust


def robustness_scores(
    case: RobustnessCase,
    seeds: range,
    *,
    snr: float = 10.0,
    methods: tuple[str, ...] = get_args(RobustnessMethod),
) -> RobustnessScores:
    """Run the methods on a case.

    Parameters
    ----------
    case : RobustnessCase
        Of `ROBUSTNESS_CASES`.
    seeds : range
        One map each.
    snr : float
        Variance of the defects' pattern over that of the noise.
    methods : tuple of str
        The last is bayes.

    Returns
    -------
    RobustnessScores
        Medians over the seeds.
    """
    maps = [case.build(seed, snr=snr) for seed in seeds]
    nrmse: dict[str, float] = {}
    results: list[KernelResult] = []
    for method in methods:
        if method == "two_step" and len(maps[0].marked.kinds) > 1:
            continue
        results = [case.run(one, method) for one in maps]
        nrmse[method] = float(np.median(list(_errors(maps, results))))
    within = [
        np.mean(
            np.abs(first_kind(result.kernel) - one.kernel) < _WITHIN_95 * first_kind(result.std)
        )
        for one, result in zip(maps, results, strict=True)
    ]
    return RobustnessScores(
        left_out=float(np.median([one.left_out for one in maps])),
        nrmse=nrmse,
        chi2=float(np.median([result.quality.reduced_chi2[0] for result in results])),
        coverage=float(np.median(within)),
        doubted=float(np.mean([result.quality.trust != "good" for result in results])),
        believed_wrongly=float(
            np.mean(
                [
                    share < _COVERED and result.quality.trust == "good"
                    for share, result in zip(within, results, strict=True)
                ]
            )
        ),
        told=dict(Counter(_told(result) for result in results)),
        trust=results[0].quality.trust,
    )


def first_kind(kernel: xr.DataArray) -> np.ndarray:
    """Return the first kernel, (h, w), of one or several kinds."""
    return np.asarray(kernel.isel(kind=0) if "kind" in kernel.dims else kernel, np.float64)


def _errors(maps: list[RobustnessMap], results: list[KernelResult]) -> Iterator[float]:
    for one, result in zip(maps, results, strict=True):
        yield float(affine_invariant_nrmse(one.kernel, first_kind(result.kernel)))


def _told(result: KernelResult) -> str:
    """Return the code of the reason that names a fault, or that there is more than noise."""
    codes = [reason.code for reason in result.quality.reasons]
    named = [code for code in codes if code in FAULTS.values() or code == "strengths_differ"]
    return next((code for code in [*named, *_GENERAL] if code in codes), "")
