"""`RealBench`: methods compared on one real map by what they predict of it."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from typing import Any

from qpi_kernels.bench.real.parameters import RealBenchParameters
from qpi_kernels.bench.real.report import RealReport, RealRow
from qpi_kernels.defects import Defects
from qpi_kernels.extraction import EstimatorParameters, ExtractionError, make_parameters
from qpi_kernels.extraction.cross_validation.cross_validate import start_comparison
from qpi_kernels.extraction.cross_validation.validation import CrossValidation
from qpi_kernels.prepare import Prepared
from qpi_kernels.progress import Event, GeneratorStepper, follow
from qpi_kernels.train.files.card import code_version

__all__ = ["RealBench", "parse_method"]


class RealBench(GeneratorStepper[RealReport]):
    """Predict left-out parts of a map with several methods, as a stepper.

    Parameters
    ----------
    file : str
        Name of the file, for the report.
    scan : Prepared
        The map or stack, with its mask.
    defects : Defects
        In its pixels.
    parameters : RealBenchParameters
        What to compare.

    Raises
    ------
    ExtractionError
        If a method or one of its fields is unknown.
    """

    def __init__(
        self, file: str, scan: Prepared, defects: Defects, parameters: RealBenchParameters
    ) -> None:
        self._file = file
        self._scan = scan
        self._defects = defects
        self._settings = parameters
        shared = {
            "kernel_shape": parameters.kernel_shape,
            "background": parameters.background,
            "device": parameters.device,
            "seed": parameters.seed,
        }
        self._alternatives = {word: parse_method(word, shared) for word in parameters.compared}

    def _run(self) -> Generator[Event, None, RealReport]:
        """Compare the methods, and collect their scores."""
        started, settings = time.perf_counter(), self._settings
        stepper = start_comparison(
            self._scan,
            {name: (one, self._defects) for name, one in self._alternatives.items()},
            folds=settings.folds,
            block_px=settings.block_px,
            leave_out=settings.leave_out,
        )
        found = yield from follow(stepper)
        return RealReport(
            file=self._file,
            channel=str(self._scan.image.name or ""),
            defects=self._defects.counts(),
            settings=settings,
            rows=[_row(name, found) for name in self._alternatives],
            sentences=found.sentences() if found.sums else [],
            seconds=round(time.perf_counter() - started, 3),
            software=code_version(),
        )


def parse_method(word: str, shared: Mapping[str, Any]) -> EstimatorParameters:
    """Read a method with its fields, such as ``least_squares:symmetry=C6v``.

    Parameters
    ----------
    word : str
        Name of the method, and ``FIELD=VALUE`` after colons.
    shared : mapping
        Fields of all methods.

    Raises
    ------
    ExtractionError
        If the method or a field is unknown, or a value out of range.
    """
    method, *entries = word.split(":")
    fields = dict(shared) | {"method": method.strip()}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not equals:
            raise ExtractionError(f"{word}: write a field as NAME=VALUE, not {entry!r}")
        fields[name.strip()] = value.strip()
    return make_parameters(fields)


def _row(name: str, found: CrossValidation) -> RealRow:
    """Collect the numbers of a method."""
    if name in found.failures:
        return RealRow(method=name, failure=found.failures[name])
    behind = found.difference(found.ranking[0], name)
    return RealRow(
        method=name,
        score=found.scores[name],
        behind=behind.r_squared,
        behind_error=behind.r_squared_error,
        real=behind.real,
    )
