"""The steppers behind the docks, driven without a window."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Image, Points

import qpi_kernels as qk
from napari_qpi.layers.conversion import points_from_defects
from napari_qpi.tasks.defect_review import ProposalSearch
from napari_qpi.tasks.extraction import ExtractionInput
from napari_qpi.tasks.method_comparison import MethodComparison
from napari_qpi.tasks.simulation_preview import SimulationPreview
from napari_qpi.tasks.training import RunCommand, TrainingRun
from qpi_kernels.defects import Defects
from qpi_kernels.extraction import EstimatorParameters, make_parameters
from qpi_kernels.progress import drive
from qpi_kernels.simulate.scan.parameters import SimulatedScanParameters
from qpi_kernels.train.parameters import TrainingParameters

SHAPE = (40, 48)
TRUE = np.array([[9.3, 11.2], [30.1, 12.7], [20.4, 33.6], [33.0, 40.2], [8.0, 38.5]])


@pytest.fixture
def task() -> ExtractionInput:
    """Return an extraction of a map in which the last of five defects is not marked."""
    rows, cols = np.indices(SHAPE)
    away = [np.hypot(rows - row, cols - col) for row, col in TRUE]
    noise = 0.02 * np.random.default_rng(1).normal(size=SHAPE)
    observed = noise + sum(np.cos(1.5 * d) * np.exp(-d / 3) for d in away)
    image = Image(observed.astype(np.float32), name="map")
    data, arguments, _ = points_from_defects(Defects(TRUE[:4]), image)
    parameters = _parameters(method="least_squares")
    return ExtractionInput.copy_from(image, Points(data, **arguments), parameters)


def _parameters(method: str) -> EstimatorParameters:
    return make_parameters({"method": method, "kernel_shape": (9, 9)})


def test_a_comparison_goes_on_where_one_method_fails(task: ExtractionInput) -> None:
    wrong = _parameters("two_step").model_copy(update={"model": "/no/such/model"})
    tasks = [
        task,
        replace(task, parameters=wrong),
        replace(task, parameters=_parameters("average")),
    ]
    shares: list[float] = []
    comparison = drive(
        MethodComparison(tasks, predict=True),
        lambda event: shares.append(event.fraction or 0.0),
    )
    runs = comparison.runs
    assert [run.method for run in runs] == ["least_squares", "two_step", "average"]
    assert [run.result is None for run in runs] == [False, True, False]
    assert runs[1].reason
    assert comparison.validation.ranking == ["least_squares", "average"]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    expected = qk.extract(
        np.asarray(task.observation), task.defects, kernel_shape=(9, 9), method="least_squares"
    )
    np.testing.assert_allclose(runs[0].result.kernel, expected.kernel, rtol=1e-5, atol=1e-6)


def test_a_search_proposes_the_defect_that_is_not_marked(task: ExtractionInput) -> None:
    result = drive(task.start())
    proposals = drive(ProposalSearch(task, result))
    near = np.hypot(*(proposals.missed.defects.positions - TRUE[4]).T)
    assert near.min() < 0.5
    assert len(proposals.spurious) == 0


def test_a_preview_is_one_plane_of_the_scan() -> None:
    parameters = SimulatedScanParameters(image_shape=(32, 40), kernel_shape=(9, 9), density=5)
    plane = drive(SimulationPreview(parameters, 0.05))
    assert float(plane.scan.kernel["bias"]) == 0.05
    assert plane.scan.observation.shape == plane.observation_fft.shape == (32, 40)


SMALL = {
    "batch_size": 8,
    "validation_samples": 4,
    "validate_every": 2,
    "checkpoint_every": 100,
    "seed": 1,
}


def stages(*names: str, steps: int) -> list[TrainingParameters]:
    return [TrainingParameters(stage=name, steps=steps, **SMALL) for name in names]


def test_a_training_passes_its_stages_and_leaves_a_model(tmp_path: Path) -> None:
    run = TrainingRun(tmp_path, stages("kernels", "alignment", steps=1))
    seen: list[str] = []
    assert drive(run, lambda event: seen.append(event.message)) == tmp_path
    assert run.ended.is_set()
    assert run.stage.stage == "alignment"
    assert [model.name for model in run.models] == ["model"]


def test_commands_skip_a_stage_and_stop_a_run(tmp_path: Path) -> None:
    run = TrainingRun(tmp_path, stages("kernels", "alignment", steps=50))
    while run.step_number < 1:
        run.step()
    run.command = RunCommand.NEXT_STAGE
    while run.stage.stage == "kernels" or run.step_number < 1:
        run.step()
    assert run.command is RunCommand.GO_ON
    run.command = RunCommand.STOP
    drive(run)
    assert run.step_number == 1
    assert [model.name for model in run.models] == ["model"]


def test_a_pause_makes_no_step_and_a_halt_keeps_a_checkpoint(tmp_path: Path) -> None:
    run = TrainingRun(tmp_path, stages("kernels", steps=50))
    while run.step_number < 1:
        run.step()
    run.command = RunCommand.PAUSE
    run.step()
    assert run.step_number == 1
    run.command = RunCommand.HALT
    drive(run)
    assert not run.models
    again = TrainingRun(tmp_path, stages("kernels", steps=50), resume=True)
    again.step()
    assert again.step_number == 1
    again.command = RunCommand.STOP
    assert drive(again) == tmp_path


def test_a_training_that_fails_frees_its_folder(tmp_path: Path) -> None:
    run = TrainingRun(tmp_path, stages("alignment", steps=1))
    with pytest.raises(ValueError, match="train the stage 'kernels'"):
        drive(run)
    assert run.ended.is_set()
    drive(TrainingRun(tmp_path, stages("kernels", steps=1)))
