"""Steps per second of trainings, and maps per second of the simulator, on a device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from qpi_kernels.bench.gpu.report import GpuRow
from qpi_kernels.bench.speed.training_rates import (
    TrainingRate,
    published_hours,
    simulator_rate,
    training_rates,
)

__all__ = ["simulator_row", "training_rows"]

_PRECISIONS: dict[Literal["no", "bf16"], str] = {"no": "float32", "bf16": "bf16"}


def simulator_row(quick: bool, device: str) -> GpuRow:
    """Time the simulation of training data."""
    size, seconds = (8, 0.2) if quick else (64, 3.0)
    # On a CPU as many processes as it has cores would stand beside everything else.
    workers = 0 if quick else None
    numbers = simulator_rate(device, batch_size=size, workers=workers, seconds=seconds)
    return GpuRow(group="training", name="simulated maps", numbers=numbers)


def training_rows(quick: bool, device: str) -> Iterator[GpuRow]:
    """Time trainings of all stages, then state the hours of the published protocol."""
    if quick:
        rates = training_rates(
            device, preset="compact", stages=["kernels"], precisions=["no"], batch_sizes=[2],
            seconds=0.1,
        )  # fmt: skip
    else:
        rates = training_rates(device, batch_sizes=[8, 64], seconds=0.5)
    measured: list[TrainingRate] = []
    for rate in rates:
        measured.append(rate)
        numbers = {
            "steps_per_s": rate.steps_per_s,
            "bare_steps_per_s": rate.bare_steps_per_s,
            "samples_per_s": rate.samples_per_s,
            "device_peak_mib": rate.peak_mib,
        }
        name = f"{rate.stage}, {_PRECISIONS[rate.precision]}, batch {rate.batch_size}"
        yield GpuRow(group="training", name=name, numbers=numbers, notes=rate.notes)
    if not quick:
        for precision in _PRECISIONS:
            hours = published_hours(measured, precision)
            numbers = {f"{stage}_h": value for stage, value in hours.items()}
            name = f"published protocol, {_PRECISIONS[precision]}"
            yield GpuRow(group="training", name=name, numbers=numbers)
