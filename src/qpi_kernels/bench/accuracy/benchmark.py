"""`napari-qpi bench accuracy`: how well kernels are found, whose truth is known."""

from __future__ import annotations

import platform
from collections.abc import Generator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from qpi_kernels.bench.accuracy.checkpoint import AccuracyBenchError, AccuracyFolder
from qpi_kernels.bench.accuracy.kernels import (
    TEST_SEED,
    KernelSource,
    OwnKernels,
    SimulatedKernels,
    held_out_families,
)
from qpi_kernels.bench.accuracy.methods import measure
from qpi_kernels.bench.accuracy.parameters import AccuracyParameters, Cell, Kind
from qpi_kernels.bench.accuracy.problems import accuracy_problem
from qpi_kernels.bench.accuracy.report import AccuracyReport, AccuracySettings
from qpi_kernels.bench.accuracy.scores import CellScores, ProblemScores
from qpi_kernels.bench.accuracy.targets import targets
from qpi_kernels.bench.work_folder import write_json
from qpi_kernels.models.kernel_prior import KernelPrior, bundled_prior
from qpi_kernels.progress import Event, GeneratorStepper, portion
from qpi_kernels.train.files.card import code_version

__all__ = ["AccuracyBench", "AccuracyBenchError"]

_PACKAGES = ("numpy", "scipy", "torch")


class AccuracyBench(GeneratorStepper[AccuracyReport]):
    """Run all methods on maps with known kernels, one method a step.

    The report is written anew after each cell, and a benchmark that was stopped goes on after the
    last one; where the code has changed since, the report says so.

    Parameters
    ----------
    folder : path-like
        Where the report is kept.
    parameters : AccuracyParameters
        Which maps.
    kernels : path-like, optional
        A file of the user's own kernels to look for, see `OwnKernels`; simulated ones else.
    report_path : path-like, optional
        Where the report is written, too; an existing file is replaced.

    Raises
    ------
    AccuracyBenchError
        If the folder holds a benchmark with other settings.
    OwnKernelsError
        If the file of kernels can not be used.
    """

    def __init__(
        self,
        folder: str | Path,
        parameters: AccuracyParameters,
        *,
        kernels: str | Path | None = None,
        report_path: str | Path | None = None,
    ) -> None:
        self._folder = AccuracyFolder(folder)
        self._report_path = None if report_path is None else Path(report_path)
        self._sources: dict[Kind, KernelSource] = {
            "known": SimulatedKernels(),
            "held-out": SimulatedKernels(held_out_families()),
            "left-out": SimulatedKernels(tuple(bundled_prior().families)),
        }
        self._priors: dict[Kind, KernelPrior] = {
            "known": bundled_prior(),
            "left-out": bundled_prior(),
            "own": bundled_prior(),
        }
        self._left_out: dict[str, KernelPrior] = {}
        kinds, digest = parameters.kinds, ""
        if kernels is not None:
            own = OwnKernels(kernels)
            self._sources["own"] = own
            kinds, digest = ("own",), own.digest
        self._settings = AccuracySettings(
            numbers=list(parameters.numbers),
            cells=parameters.cells(kinds),
            methods=list(parameters.compared),
            prior_kernels=parameters.prior_kernels,
            test_seed=TEST_SEED,
            own_kernels=digest,
            quick=parameters.quick,
        )
        for side in {cell.kernel_px for cell in self._settings.cells if kernels is not None}:
            for number in range(len(own)):
                own.kernel(number, side)
        before = self._folder.read(self._settings)
        self._cells = [] if before is None else list(before.cells)
        self._used_priors = {} if before is None else dict(before.priors)
        known = [] if before is None else [*before.earlier, before.software]
        self._earlier = [one for one in dict.fromkeys(known) if one != self._software]

    def report(self) -> AccuracyReport:
        """Report the cells that are done so far."""
        return AccuracyReport(
            settings=self._settings,
            cells=self._cells,
            targets=targets(self._cells),
            priors=self._used_priors,
            software=self._software,
            versions={
                "python": platform.python_version(),
                **{name: version(name) for name in _PACKAGES},
            },
            machine=f"{platform.platform()}, {torch.get_num_threads()} threads",
            earlier=self._earlier,
        )

    @property
    def _software(self) -> str:
        return f"{code_version()}, PyTorch {torch.__version__}"

    def _run(self) -> Generator[Event, None, AccuracyReport]:
        """Measure every cell that is missing, a method on a map a step; write after each cell."""
        cells = self._settings.cells
        for index in range(len(self._cells), len(cells)):
            cell = cells[index]
            begin, end = index / len(cells), (index + 1) / len(cells)
            if cell.kind not in self._priors:
                fit = self._folder.held_out_prior(self._settings.prior_kernels)
                start, begin = begin, (begin + end) / 2
                self._priors[cell.kind] = yield from portion(fit, start, begin)
            prior = self._priors[cell.kind]
            self._used_priors[cell.kind] = _described(prior)
            problems = yield from portion(self._measure(cell, prior), begin, end)
            self._cells.append(CellScores.of(cell, problems))
            self._write()
        self._write()
        return self.report()

    def _measure(
        self, cell: Cell, prior: KernelPrior
    ) -> Generator[Event, None, list[ProblemScores]]:
        """Run every method on every map of a cell, and score the kernels."""
        numbers, methods = self._settings.numbers, self._settings.methods
        total = len(numbers) * len(methods)
        problems = []
        for index, number in enumerate(numbers):
            problem = accuracy_problem(cell, number, self._sources[cell.kind])
            known = self._known(cell.kind, problem.name, prior)
            scores = {}
            for rank, method in enumerate(methods):
                message = f"{cell}: map {index + 1} of {len(numbers)}, {method}"
                yield Event(message, index * len(methods) + rank, total)
                scores[method] = measure(method, problem, known)
            problems.append(
                ProblemScores(number=number, name=problem.name, limit=problem.limit, methods=scores)
            )
        return problems

    def _known(self, kind: Kind, family: str, prior: KernelPrior) -> KernelPrior:
        """Return what bayes knows of a problem: of a family left out, all others."""
        if kind != "left-out":
            return prior
        # Kept, for it is put on the window's pixels once.
        if family not in self._left_out:
            self._left_out[family] = prior.without(family)
        return self._left_out[family]

    def _write(self) -> None:
        """Write the report of the cells so far to the folder and to its further path."""
        report = self.report()
        self._folder.write(report)
        if self._report_path is not None:
            write_json(self._report_path, report)


def _described(prior: KernelPrior) -> dict[str, Any]:
    """Describe a prior for the report."""
    return {**prior.description, "components": len(prior.basis)}
