"""`CrossValidationRun`: extractions without a part of the map, which they then predict."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.cross_validation.block_size import choose_block_size
from qpi_kernels.extraction.cross_validation.block_sums import BlockSums
from qpi_kernels.extraction.cross_validation.partition import (
    Partition,
    partition_blocks,
    partition_defects,
)
from qpi_kernels.extraction.cross_validation.validation import CrossValidation
from qpi_kernels.extraction.device_run import DeviceRun
from qpi_kernels.extraction.parameters import ExtractionError
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.registry import estimator, make_parameters
from qpi_kernels.forward import ForwardModel
from qpi_kernels.models.folder_files import ModelFormatError
from qpi_kernels.predictive_score import LeftOut
from qpi_kernels.progress import Event, GeneratorStepper, follow, map_events, portion
from qpi_kernels.result import KernelResult

__all__ = ["CrossValidationRun", "Division", "Scoring", "divide", "predict"]

Images = NDArray[np.float64]

_MIN_REACH = 1e-6
_PLAIN = "least_squares"
# How an extraction fails on some maps; others are errors of the program. torch raises RuntimeError.
_FAILURES = (ExtractionError, ModelFormatError, np.linalg.LinAlgError, RuntimeError)


@dataclass(frozen=True)
class Division:
    """Division of a map for a cross-validation.

    Parameters
    ----------
    folds : int
        Number of extractions, each without its share of the blocks.
    left_out : str
        ``blocks`` or ``defects``.
    block_px : int, optional
        Side of a block; see `choose_block_size` when left out.
    seed : int
        Of the random division.
    """

    folds: int
    left_out: LeftOut = "blocks"
    block_px: int | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class _Fold:
    """A fold's left-out pixels and what they are without kernels.

    Parameters
    ----------
    held_out : array of bool, (rows, columns)
        Left-out pixels.
    deviations : array, (plane, rows, columns)
        Observation less the background of the other pixels.
    """

    held_out: NDArray[np.bool_]
    deviations: Images

    @classmethod
    def of(cls, problem: Problem, held_out: NDArray[np.bool_]) -> _Fold:
        """Fit the background of the pixels that are not left out."""
        rest = replace(problem, mask=problem.mask & ~held_out)
        deviations = _planes(problem.observation.data).copy()
        for index in range(problem.plane_count):
            planes = rest.planes(index, index + 1)
            background = rest.background.fit(planes.values) * planes.scale + planes.centre
            deviations[index] -= background[0].cpu().numpy()
        return cls(held_out, deviations)


@dataclass(frozen=True, eq=False)
class Scoring:
    """The pixels that all alternatives predict, and the unit of their errors.

    Parameters
    ----------
    partition : Partition
        The blocks.
    noise : array, (plane,)
        Variance of what plain least squares leaves of each plane.
    """

    partition: Partition
    noise: NDArray[np.float64]


class CrossValidationRun(GeneratorStepper[CrossValidation]):
    """Leave out each block once and predict it from the rest, with every alternative.

    A prediction is the reconstruction of an extraction for which the left-out pixels were masked:
    priors, noise, positions and ridge of each are found without them. An alternative that fails
    has no score, and the others go on.

    Parameters
    ----------
    problems : mapping of str to Problem
        The alternatives, all of one observation; they may differ in parameters and defects.
    division : Division
        How to divide the map.
    """

    def __init__(self, problems: Mapping[str, Problem], division: Division) -> None:
        self._problems = dict(problems)
        self._division = division

    def _run(self) -> Generator[Event, None, CrossValidation]:
        """Divide the map by the residual of least squares, then predict fold by fold."""
        problems, division = self._problems, self._division
        start = 1 / (1 + 2 * division.folds * len(problems))
        largest = max(problems.values(), key=lambda one: np.prod(one.parameters.kernel_shape))
        scoring = yield from portion(divide(problems, division, largest), 0.0, start)
        return (yield from portion(predict(problems, scoring), start, 1.0))


def divide(
    problems: Mapping[str, Problem], division: Division, reference: Problem
) -> Generator[Event, None, Scoring]:
    """Divide the pixels that the kernels of any alternative reach.

    Parameters
    ----------
    problems : mapping of str to Problem
        The alternatives.
    division : Division
        How.
    reference : Problem
        Whose kernels are taken by plain least squares: the residual tells how far its noise is
        correlated, and how strong it is in each plane.
    """
    fields = {"method": _PLAIN, "refine": None, "symmetry": None}
    plain = replace(reference, parameters=make_parameters(fields, reference.parameters))
    result = yield from map_events(
        follow(DeviceRun(plain, estimator(_PLAIN).start)),
        lambda event: replace(event, message="Measuring the residual's correlation"),
    )
    residuals = _planes(result.residual.values)
    scored = reference.mask & np.logical_or.reduce([_reach(one) for one in problems.values()])
    if division.left_out == "defects":
        shape, defects = reference.parameters.kernel_shape, reference.defects
        partition = partition_defects(scored, defects, shape, division.folds, division.seed)
    else:
        side = division.block_px or choose_block_size(residuals, reference.mask)
        partition = partition_blocks(scored, side, division.folds, division.seed)
    noise = np.square(residuals[:, partition.labels >= 0]).mean(axis=1)
    return Scoring(partition, np.where(noise > 0, noise, 1.0))


def predict(
    problems: Mapping[str, Problem], scoring: Scoring
) -> Generator[Event, None, CrossValidation]:
    """Extract with every alternative without each fold, and score its prediction of the fold."""
    partition = scoring.partition
    sums: dict[str, BlockSums] = {}
    failures: dict[str, str] = {}
    parts, done = partition.count * len(problems), 0
    first = next(iter(problems.values()))
    for number in range(partition.count):
        fold = _Fold.of(first, partition.held_out(number))
        for name, problem in problems.items():
            low, high = ((done + more) / parts for more in (0, 1))
            done += 1
            if name in failures:
                continue
            place = f"{name.replace('_', ' ')}, fold {number + 1} of {partition.count}"
            try:
                result = yield from portion(_extraction(problem, fold, place), low, high)
            except _FAILURES as error:
                failures[name] = str(error)
                sums.pop(name, None)
                continue
            found = _prediction_sums(problem, result, scoring, fold)
            sums[name] = sums[name] + found if name in sums else found
    return CrossValidation(sums, partition, failures)


def _prediction_sums(
    problem: Problem, result: KernelResult, scoring: Scoring, fold: _Fold
) -> BlockSums:
    """Compare an extraction with the pixels that it was made without."""
    errors = _planes(result.residual.values)
    variance = _noise_variance(problem, result, errors[:, problem.mask & ~fold.held_out])
    variance = np.maximum(variance, 1e-12 * scoring.noise)
    predictive = variance[:, None, None] + _kernel_variance(problem, result)
    return BlockSums.of(
        scoring.partition, fold.held_out, scoring.noise, errors, fold.deviations, predictive
    )


def _extraction(problem: Problem, fold: _Fold, place: str) -> Generator[Event, None, KernelResult]:
    """Extract without the left-out pixels."""
    rest = replace(problem, mask=problem.mask & ~fold.held_out)
    work = follow(DeviceRun(rest, estimator(problem.parameters.method).start))
    return (
        yield from map_events(
            work, lambda event: replace(event, message=f"{place}: {event.message}")
        )
    )


def _noise_variance(
    problem: Problem, result: KernelResult, residuals: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Estimate the noise variance of each plane from the pixels of an extraction.

    Parameters
    ----------
    residuals : array, (plane, pixel)
        Of the pixels that counted.
    """
    fitted = np.array(result.quality.determined) * problem.symmetrisation.rank
    count = residuals.shape[1]
    free = np.maximum(count - fitted - problem.background.parameters, 0.1 * count)
    return np.asarray(np.square(residuals).sum(axis=1) / free)


def _kernel_variance(problem: Problem, result: KernelResult) -> Images:
    """Propagate the kernels' variance to the map, (plane, rows, columns)."""
    shape = problem.parameters.kernel_shape
    model = ForwardModel(result.defects, problem.image_shape, shape)
    std = result.std.values.reshape(len(model.kinds), problem.plane_count, *shape)
    variances = torch.from_numpy(np.square(std.astype(np.float64))).transpose(0, 1)
    return np.stack([model.apply_variance(one).numpy() for one in variances])


def _reach(problem: Problem) -> NDArray[np.bool_]:
    """Mark the pixels that some defect's window reaches, (rows, columns)."""
    model = problem.model
    flat = torch.ones(len(model.kinds), *problem.parameters.kernel_shape)
    reach = model.apply_variance(flat.to(problem.device, problem.dtype))
    return np.asarray((reach > _MIN_REACH).cpu().numpy())


def _planes(values: Any) -> Images:
    """Copy a map or a stack to double precision, (plane, rows, columns)."""
    whole = np.asarray(values, np.float64)
    return whole.reshape(-1, *whole.shape[-2:])
