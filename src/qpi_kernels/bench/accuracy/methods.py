"""The methods that the accuracy benchmark compares, each run on one problem and scored."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.bench.accuracy.oracle_ridge import tuned_ridge
from qpi_kernels.bench.accuracy.parameters import MethodName
from qpi_kernels.bench.accuracy.problems import AccuracyProblem
from qpi_kernels.bench.accuracy.scores import MethodScores
from qpi_kernels.extraction.bayes.estimator import BayesExtraction
from qpi_kernels.extraction.bayes.parameters import BayesParameters
from qpi_kernels.extraction.extract import Extraction, start_extraction
from qpi_kernels.extraction.least_squares.method import LeastSquaresParameters
from qpi_kernels.extraction.parameters import EstimatorParameters
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.metrics import (
    affine_invariant_nrmse,
    core_excluded_correlation,
    fourier_correlation,
    published_errors,
)
from qpi_kernels.models.kernel_prior import KernelPrior, bundled_prior
from qpi_kernels.progress import drive

__all__ = ["measure"]

_WITHIN_95 = 1.959964
Parameters = TypeVar("Parameters", bound=EstimatorParameters)

_PRIORS: dict[MethodName, str] = {
    "bayes": "library",
    "oracle": "library",
    "bayes_learned": "learned",
    "bayes_smooth": "smooth",
}


@dataclass(frozen=True, eq=False)
class _Estimate:
    """A kernel (h, w) and its standard deviation, where the method gives one."""

    kernel: NDArray[np.float64]
    std: NDArray[np.float64] | None = None
    prior: str = ""
    ridge: float | None = None


def measure(method: MethodName, problem: AccuracyProblem, library: KernelPrior) -> MethodScores:
    """Run a method on a problem and score what it finds.

    Parameters
    ----------
    method : str
        One of `METHODS`: ``oracle`` is ``bayes`` given the family of the kernel.
    problem : AccuracyProblem
        The map and the truth.
    library : KernelPrior
        The simulated kernels that bayes knows. The network of ``bayes_learned`` and ``two_step``
        was trained on all families, held out here or not.

    Returns
    -------
    MethodScores
        As described in its fields.
    """
    start = time.perf_counter()
    found = _estimate(method, problem, library)
    seconds = time.perf_counter() - start
    true = problem.kernel
    coverage = None
    if found.std is not None:
        coverage = float(np.mean(np.abs(found.kernel - true) < _WITHIN_95 * found.std))
    return MethodScores(
        nrmse=float(affine_invariant_nrmse(true, found.kernel)),
        rmse=float(published_errors(true, found.kernel).rmse),
        core_excluded=float(core_excluded_correlation(true, found.kernel)),
        fourier=float(fourier_correlation(true, found.kernel)),
        coverage=coverage,
        seconds=seconds,
        prior=found.prior,
        ridge=found.ridge,
    )


def _estimate(method: MethodName, problem: AccuracyProblem, library: KernelPrior) -> _Estimate:
    """Run a method on a problem."""
    if method == "tuned_ridge":
        checked = _checked(problem, LeastSquaresParameters())
        kernel, ridge = tuned_ridge(checked, problem.kernel)
        return _Estimate(kernel, ridge=ridge)
    result = drive(_stepper(method, problem, library))
    chosen = result.provenance.get("priors") or [{"prior": ""}]
    return _Estimate(
        np.asarray(result.kernel.values, np.float64),
        np.asarray(result.std.values, np.float64),
        prior=str(chosen[0]["prior"]),
        ridge=result.quality.ridge[0],
    )


def _stepper(method: MethodName, problem: AccuracyProblem, library: KernelPrior) -> Extraction:
    """Start a method of `extract` on a problem."""
    if method in _PRIORS:
        parameters = BayesParameters.model_validate({"prior": _PRIORS[method]})
        known = _true_family(problem, library) if method == "oracle" else library
        return BayesExtraction(_checked(problem, parameters), known)
    return start_extraction(
        problem.observation, problem.marked, method=method, kernel_shape=problem.kernel.shape
    )


def _true_family(problem: AccuracyProblem, library: KernelPrior) -> KernelPrior:
    """Restrict the prior to the family of a problem's kernel, held out or not.

    Somebody's own kernels are of no family: for them it is the whole library, and no limit.
    """
    everything = bundled_prior()
    known = problem.name in everything.families
    return everything.family(problem.name) if known else library


def _checked(problem: AccuracyProblem, parameters: Parameters) -> Problem[Parameters]:
    """Check a problem's arrays as `extract` does."""
    rows, columns = problem.kernel.shape
    chosen = parameters.model_copy(update={"kernel_shape": (rows, columns)})
    return Problem.check(problem.observation, problem.marked, None, chosen)
