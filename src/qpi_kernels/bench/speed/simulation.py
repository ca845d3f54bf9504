"""Cost of simulated data: the published data set, and the batches of a training."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

from qpi_kernels.bench.speed.report import SpeedRow
from qpi_kernels.bench.speed.timing import timed, timed_with_peak
from qpi_kernels.simulate.datasets.protocol import PaperProtocol
from qpi_kernels.simulate.datasets.protocol_parameters import ProtocolParameters
from qpi_kernels.train.parameters import TrainingParameters
from qpi_kernels.train.training import Training

__all__ = ["simulation_rows"]

_KERNELS, _ALL_KERNELS = 5, 100
_SECONDS, _BYTES = 300.0, 2 * 2**30
_STEPS = 8


def simulation_rows() -> list[SpeedRow]:
    """Measure the simulator.

    Returns
    -------
    list of SpeedRow
        The published data set in both layouts, from five of its hundred kernels, against five
        minutes and against 2 GiB; making a batch of observations against a training step of the
        compact observation encoder, and of kernels against one of the compact kernel VAE.
    """
    with tempfile.TemporaryDirectory() as folder:
        rows = _protocol_rows(Path(folder))
        rows += [_training_row(Path(folder), "kernels"), _training_row(Path(folder), "one-step")]
    return rows


def _protocol_rows(folder: Path) -> list[SpeedRow]:
    """Time the published protocol, and measure its memory."""
    protocol = PaperProtocol(folder / "protocol", ProtocolParameters())
    protocol.step()

    def several() -> None:
        for _ in range(_KERNELS):
            protocol.step()

    seconds, peak = timed_with_peak(several)
    whole = seconds * _ALL_KERNELS / _KERNELS
    return [
        SpeedRow(
            claim="50,000 observations of the published protocol, both layouts / 5 minutes",
            measured=whole / _SECONDS,
            limit=1.0,
            detail=f"{whole:.0f} s (from {_KERNELS} of {_ALL_KERNELS} kernels) / {_SECONDS:.0f} s",
        ),
        SpeedRow(
            claim="peak additional memory of that / 2 GiB",
            measured=peak / _BYTES,
            limit=1.0,
            detail=f"{peak / 2**20:.0f} MiB / {_BYTES // 2**20} MiB",
        ),
    ]


def _training_row(folder: Path, stage: str) -> SpeedRow:
    """Time the simulation of batches against training steps."""
    parameters = TrainingParameters.model_validate(
        {"stage": stage, "steps": 1000, "device": "cpu", "validation_samples": 4}
    )
    training = Training(folder / "training", parameters)
    training.step()
    data, steps = [], []
    for number in range(_STEPS):
        data.append(timed(lambda number=number: training.batches[500 + number]))  # type: ignore[misc]
        steps.append(timed(training.step))
    # A step simulates its own batch too.
    alone = median(step - made for step, made in zip(steps, data, strict=True))
    return SpeedRow(
        claim=f"simulating a batch / a training step of the compact model, stage {stage}",
        measured=median(data) / alone,
        limit=0.1,
        detail=f"{1e3 * median(data):.0f} ms / {1e3 * alone:.0f} ms",
    )
