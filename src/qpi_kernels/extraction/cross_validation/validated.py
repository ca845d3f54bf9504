"""`ValidatedExtraction`: an extraction that also tells how well it predicts left-out pixels."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from qpi_kernels.extraction.cross_validation.run import CrossValidationRun, Division
from qpi_kernels.extraction.problem import ExtractionError, Problem
from qpi_kernels.progress import Event, GeneratorStepper, Stepper, follow, portion
from qpi_kernels.result import KernelResult

__all__ = ["ValidatedExtraction"]


class ValidatedExtraction(GeneratorStepper[KernelResult]):
    """Extract, then predict each part of the map from the rest, as a stepper.

    Parameters
    ----------
    problem : Problem
        The checked input; its parameters tell the number of folds.
    extraction : Stepper
        Extracts from the whole map.

    Raises
    ------
    ExtractionError
        If the method finds the defects itself: a prediction needs marked ones.
    """

    def __init__(self, problem: Problem, extraction: Stepper[KernelResult]) -> None:
        if problem.parameters.finds_defects:
            raise ExtractionError(
                f"{problem.parameters.method} finds the defects and can not be cross-validated; "
                "mark what it finds, and validate another method"
            )
        self._problem = problem
        self._extraction = extraction

    def _run(self) -> Generator[Event, None, KernelResult]:
        """Extract from the whole map, then fold by fold."""
        problem, parameters = self._problem, self._problem.parameters
        share = 1 / (1 + parameters.validation_folds)
        result = yield from portion(follow(self._extraction), 0.0, share)
        division = Division(parameters.validation_folds, seed=parameters.seed)
        name = parameters.method
        run = CrossValidationRun({name: problem}, division)
        found = yield from portion(follow(run), share, 1.0)
        if name in found.failures:
            raise ExtractionError(f"the cross-validation failed: {found.failures[name]}")
        quality = result.quality.model_copy(update={"prediction": found.scores[name]})
        return replace(result, quality=quality)
