"""Batches are the same ones whoever makes them, and wherever they lie."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from qpi_kernels.progress import drive
from qpi_kernels.simulate import KernelSampler
from qpi_kernels.simulate.datasets.batches import SimulatedBatches
from qpi_kernels.train.data.batch_stream import start_stream, worker_count
from qpi_kernels.train.data.device_batches import DeviceBatches, fits_on
from qpi_kernels.train.dataset_batches import DatasetBatches
from qpi_kernels.train.parameters import TrainingError, TrainingParameters
from qpi_kernels.train.training import Training


def dataset(steps: int = 5, activations: bool = True) -> DatasetBatches:
    rng = np.random.default_rng(4)
    maps = rng.normal(size=(6, 3, 8, 8))
    return DatasetBatches(
        rng.normal(size=(6, 8, 8)),
        maps if activations else None,
        maps > 1 if activations else None,
        np.arange(6) % 4,
        batch_size=8,
        steps=steps,
        seed=2,
    )


@pytest.mark.parametrize("maps", [True, False])
def test_a_data_set_on_a_device_gives_the_same_batches(maps: bool) -> None:
    source = dataset(activations=maps)
    moved = DeviceBatches(source, torch.device("cpu"))
    assert len(moved) == 5
    for step in (3, 0, 4):
        expected, found = source[step], moved[step]
        assert expected.keys() == found.keys()
        for name, value in expected.items():
            assert torch.equal(found[name], value)  # type: ignore[literal-required, arg-type]
            assert found[name].dtype == value.dtype  # type: ignore[literal-required, attr-defined]


def test_a_stream_begins_anywhere_and_closes() -> None:
    stream = start_stream(dataset(), range(2, 5))
    assert torch.equal(next(stream)["kernel"], dataset()[2]["kernel"])
    stream.close()
    assert list(stream) == []
    with pytest.raises(TrainingError, match="5 batches for 6 steps"):
        start_stream(dataset(), range(6))


def test_workers_are_for_simulation_beside_a_gpu() -> None:
    simulated = SimulatedBatches(KernelSampler(shape=(81, 81)))
    cuda = torch.device("cuda")
    processors = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    assert worker_count(simulated, cuda) == min(processors - 1, 12)
    assert worker_count(dataset(), cuda) == worker_count(simulated, torch.device("cpu")) == 0
    assert not fits_on(dataset(), torch.device("cpu"))


@pytest.mark.slow
def test_losses_are_the_same_for_any_number_of_workers_and_after_a_resume(tmp_path: Path) -> None:
    parameters = TrainingParameters(
        stage="one-step", steps=4, batch_size=8, warmup=1, validation_samples=4,
        validate_every=4, checkpoint_every=2, device="cpu",
    )  # fmt: skip
    losses: dict[int, list[float]] = {}
    for workers in (0, 1, 2):
        training = Training(tmp_path / str(workers), parameters, workers=workers)
        losses[workers] = [training.step().values["loss"] for _ in range(2)]
        # As if it were killed: a third step is lost.
        training.step()
        training.release()
        resumed = Training(tmp_path / str(workers), parameters, workers=2 - workers, resume=True)
        drive(resumed, lambda event, to=losses[workers]: to.append(event.values["loss"]))
    assert losses[0] == losses[1] == losses[2]
    assert len(set(losses[0])) == 4


@pytest.mark.slow
def test_workers_do_not_run_a_script_without_a_guard_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "print('begun', flush=True)\n"
        "from qpi_kernels.simulate import KernelSampler\n"
        "from qpi_kernels.simulate.datasets.batches import BatchParameters, SimulatedBatches\n"
        "from qpi_kernels.train.data.batch_stream import start_stream\n"
        "kernels = BatchParameters(image_shape=None)\n"
        "made = SimulatedBatches(KernelSampler(), kernels, batch_size=8)\n"
        "stream = start_stream(made, range(2), workers=1)\n"
        "print(sum(len(batch['kernel']) for batch in stream))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split() == ["begun", "16"]
