"""`napari-qpi bench paper`: arXiv 2506.05325 at our scale, beside the published figures."""

from __future__ import annotations

import platform
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.bench.paper.checkpoint import PaperBenchError, claim_folder
from qpi_kernels.bench.paper.data import TEST_SETS, KernelSet, PaperData, TestName
from qpi_kernels.bench.paper.experiments import (
    BUNDLED,
    COMPARISONS,
    HUB,
    MODELS,
    ROWS,
    PlannedComparison,
    PlannedRow,
    TrainedModel,
    stages_behind,
)
from qpi_kernels.bench.paper.latents import flattened, neighbours
from qpi_kernels.bench.paper.parameters import PaperParameters
from qpi_kernels.bench.paper.plots import PaperPictures
from qpi_kernels.bench.paper.report import PaperComparison, PaperReport, PaperRow
from qpi_kernels.bench.paper.scores import (
    UNITS,
    bootstrapped,
    encode,
    kernel_codes,
    predict,
    reconstruct,
    score_kernels,
    summary,
)
from qpi_kernels.bench.paper.training import ModelTraining, read_trained
from qpi_kernels.devices import choose_device
from qpi_kernels.models.folder import KernelModel
from qpi_kernels.models.loading import load_model, model_folder
from qpi_kernels.models.pretrained import PretrainedError
from qpi_kernels.progress import Event, GeneratorStepper
from qpi_kernels.train.files.card import code_version

__all__ = ["PaperBench", "PaperBenchError", "PaperResult"]

_PICTURED = {
    "two_step": "two-step",
    "one_step": "one-step",
    "our_inputs_two_step": "two-step, our inputs",
    "bundled": "bundled",
}
_PICTURED_KERNELS = 6
_TESTED_AT_ONCE = 8


@dataclass(frozen=True)
class _Key:
    """Key of a score that is measured once, for however many rows show it."""

    model: str
    tests: TestName
    noisy: bool = False
    reconstruct: bool = False


@dataclass(frozen=True, eq=False)
class PaperResult:
    """The finished benchmark."""

    report: PaperReport
    """All numbers."""
    pictures: PaperPictures
    """Kernels and latent codes to draw with `write_plots`."""


class PaperBench(GeneratorStepper[PaperResult]):
    """Make the data, train all models and test them, an optimiser step at a time.

    Each training keeps checkpoints in the folder, and a benchmark that was stopped goes on there,
    with another version of the code or on another device as well: the report then says so.

    Parameters
    ----------
    folder : path-like
        Where the models go.
    parameters : PaperParameters
        Sizes, seed, precision and device.

    Raises
    ------
    PaperBenchError
        If the folder holds a benchmark with other parameters.
    """

    def __init__(self, folder: str | Path, parameters: PaperParameters) -> None:
        self.folder = Path(folder)
        self.parameters = parameters
        self._data = PaperData(self.folder, parameters)
        self._training: ModelTraining | None = None
        self._scores: dict[_Key, dict[str, NDArray[np.float64]]] = {}
        self._not_run: dict[str, str] = {}
        self._device = choose_device(parameters.device)
        self._earlier = claim_folder(self.folder, parameters, self._versions())
        self._total = len(self._data) + len(ROWS)
        self._total += sum(len(model.stages) for model in MODELS) * parameters.chosen("steps")
        self._made = 0

    def save(self) -> None:
        """Write a checkpoint of what is being trained."""
        if self._training is not None:
            self._training.save()

    # -- the work ---------------------------------------------------------------------------

    def _run(self) -> Generator[Event, None, PaperResult]:
        """Simulate the kernels, train all models and test them: an optimiser step a step."""
        for event in self._data.make():
            yield self._counted(event)
        for model in MODELS:
            yield from self._train(model)
        yield from self._train_published_size()
        for row in ROWS:
            yield from self._measure(row)
        pictures = self._draw()
        return PaperResult(self._summary(pictures), pictures)

    def _counted(self, event: Event) -> Event:
        """Count a step of a part within the whole benchmark."""
        self._made += 1
        return Event(event.message, min(self._made, self._total), self._total, event.values)

    def _train(self, model: TrainedModel) -> Generator[Event, None, None]:
        """Train a model, and count all its steps once."""
        self._training = ModelTraining(self.folder, model, self._data, self.parameters)
        before = self._made
        for event in self._training.run():
            yield self._counted(event)
        self._training = None
        # Steps that a former run has made count too.
        self._made = before + len(model.stages) * self.parameters.chosen("steps")

    def _train_published_size(self) -> Generator[Event, None, None]:
        """Train the models of 84 million weights, where that can be."""
        if self._device.type == "cpu":
            reason = "the published size, 84 million weights, needs a GPU"
            self._not_run |= {model.name: reason for model in HUB}
            return
        made = self._made
        for model in HUB:
            try:
                yield from self._train(model)
            except PretrainedError as error:
                self._not_run |= {one.name: str(error) for one in HUB}
                break
        self._made = made

    def _model(self, name: str) -> KernelModel:
        """Read a model by its name, bundled or trained here."""
        if name in BUNDLED:
            return load_model("bundled", method=BUNDLED[name], device=self.parameters.device)
        (planned,) = (model for model in (*MODELS, *HUB) if model.name == name)
        return read_trained(self.folder, planned, self.parameters.device)

    def _measure(self, row: PlannedRow) -> Generator[Event, None, None]:
        """Score a row's model on its tests, unless another row has."""
        key = _Key(row.model, row.tests, row.noisy, row.reconstruct)
        self._made += 1
        if key in self._scores or row.model in self._not_run:
            return
        if row.model in BUNDLED and not model_folder(method=BUNDLED[row.model]).is_dir():
            self._not_run[row.model] = "this build comes without that model"
            return
        model = self._model(row.model)
        kernels = self._data.tests(row.tests, noisy=row.noisy)
        parts = []
        for first in range(0, len(kernels), _TESTED_AT_ONCE):
            text = f"testing {row.model} on {row.tests}, kernel {first + 1} of {len(kernels)}"
            yield Event(text, self._made, self._total)
            some = kernels.part(slice(first, first + _TESTED_AT_ONCE))
            found = (reconstruct if row.reconstruct else predict)(model, some)
            published_scale = model.representation.kind == "min_max"
            parts.append(score_kernels(some.kernels, found, min_max=published_scale))
        if parts:
            self._scores[key] = {
                name: np.concatenate([part[name] for part in parts]) for name in parts[0]
            }

    # -- the report -------------------------------------------------------------------------

    def _summary(self, pictures: PaperPictures) -> PaperReport:
        """Collect all numbers into the report."""
        return PaperReport(
            rows=[self._row(row) for row in ROWS],
            comparisons=[self._comparison(one) for one in COMPARISONS],
            latent=neighbours(pictures.codes),
            units=UNITS,
            tests={str(name): text for name, text in TEST_SETS.items()},
            budget=self.parameters.budget,
            quick=self.parameters.quick,
            seed=self.parameters.seed,
            software=f"{code_version()}, PyTorch {torch.__version__}",
            earlier=self._earlier,
            machine=(
                f"{platform.platform()}, {self._device_name()}, {torch.get_num_threads()} threads"
            ),
        )

    def _device_name(self) -> str:
        """Name the device."""
        device = self._device
        return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type

    def _versions(self) -> str:
        """Name software and device, which may change the numbers between sessions."""
        return f"{code_version()}, PyTorch {torch.__version__}, {self._device_name()}"

    def _row(self, row: PlannedRow) -> PaperRow:
        """Summarise the scores of one row of the tables."""
        scores = self._scores.get(_Key(row.model, row.tests, row.noisy, row.reconstruct), {})
        reason = self._not_run.get(row.model, "no such kernels among these few")
        shape = scores["rmse"].shape if scores else (0, 0)
        return PaperRow(
            table=row.table,
            label=row.label,
            model=row.model,
            tests=row.tests,
            noisy=row.noisy,
            steps=stages_behind(row.model) * self.parameters.chosen("steps"),
            kernels=shape[0],
            samples=shape[0] * shape[1],
            scores=summary(scores, self.parameters.seed),
            published_rmse=row.published,
            not_run="" if scores else reason,
        )

    def _comparison(self, planned: PlannedComparison) -> PaperComparison:
        """Compare the errors of two models kernel by kernel."""
        published = planned.published
        made = PaperComparison(
            claim=planned.claim,
            tests=f"{planned.tests}{', noisy' if planned.noisy else ''}",
            published_change=None if published is None else published[0] / published[1] - 1,
        )
        keys = [
            _Key(name, planned.tests, planned.noisy) for name in (planned.first, planned.second)
        ]
        if not all(key in self._scores for key in keys):
            return made
        first, second = (self._scores[key]["rmse"].mean(axis=1) for key in keys)
        low, high = bootstrapped(first, self.parameters.seed, second)
        change = float(first.mean() / second.mean() - 1)
        found = {"change": change, "low": low, "high": high, "kernels": len(first)}
        return made.model_copy(update={**found, "better_on": int((first < second).sum())})

    def _draw(self) -> PaperPictures:
        """Collect kernels and latent codes to draw."""
        some = self._data.tests("OOD").samples(slice(0, 1)).part(slice(0, _PICTURED_KERNELS))
        found = {
            label: predict(self._model(name), some)[:, 0]
            for name, label in _PICTURED.items()
            if name not in self._not_run
        }
        every: KernelSet = self._data.tests("all kernels")
        model = self._model("our_inputs_two_step")
        codes = flattened(kernel_codes(model, every.kernels), encode(model, every), every.families)
        return PaperPictures(some.kernels, found, codes)
