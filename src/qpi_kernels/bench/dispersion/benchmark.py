"""From a grid to m*: extraction and fit of grids whose band is known."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np

from qpi_kernels.bench.dispersion.grids import GROUPS, Grid, grids
from qpi_kernels.bench.dispersion.report import DispersionReport, DispersionRow, Measured
from qpi_kernels.bench.group_bench import GroupBench
from qpi_kernels.bench.machine import describe_machine
from qpi_kernels.extraction import start_extraction
from qpi_kernels.inspect import Dispersion, fit_dispersion, radial_phase
from qpi_kernels.progress import Event, follow

__all__ = ["GROUPS", "DispersionBench"]

_WINDOW = (51, 51)


class DispersionBench(GroupBench[Grid, DispersionRow]):
    """Extract kernels of grids, fit their dispersion and compare with the truth, as a stepper.

    Parameters
    ----------
    groups : sequence of str
        Of `grids.GROUPS`.
    quick : bool
        One grid of each group.
    report_path : Path, optional
        Where the report is written, anew after each grid.
    """

    def __init__(
        self,
        groups: Sequence[str] = GROUPS,
        *,
        quick: bool = False,
        report_path: Path | None = None,
    ) -> None:
        super().__init__(
            DispersionReport(machine=describe_machine("cpu"), quick=quick),
            {group: grids(group, quick) for group in groups},
            _measured,
            report_path,
        )


def _measured(grid: Grid) -> Generator[Event, None, DispersionRow]:
    """Extract a grid's kernel with the default method, and fit it."""
    observation, defects = grid.draw()
    started = time.process_time()
    result = yield from follow(start_extraction(observation, defects, kernel_shape=_WINDOW))
    found = fit_dispersion(result, resolution=grid.resolution, setpoint=grid.setpoint)
    seconds = time.process_time() - started
    blind = fit_dispersion(result)
    ring, kernel_ring = (fit_dispersion(one, method="ring") for one in (observation, result))
    phase = radial_phase(found)
    off = (phase.phase.values - grid.phase + np.pi / 2) % np.pi - np.pi / 2
    known = np.isfinite(off)
    return DispersionRow(
        group=grid.group,
        name=grid.name,
        used=int(found.wave_numbers["used"].sum()),
        mass=_parameter(found, "mass", grid.band.mass),
        onset=_parameter(found, "onset", grid.band.onset),
        self_energy=_self_energy(found, grid.width),
        phase_errors=off[known].tolist(),
        phases_covered=float(np.mean(np.abs(off) <= 2 * phase.std.values, where=known)),
        reduced_chi2=found.reduced_chi2,
        ring_mass=ring.parameters["mass"],
        ring_onset=ring.parameters["onset"],
        kernel_ring_mass=kernel_ring.parameters["mass"],
        blind_mass=blind.parameters["mass"],
        seconds=seconds,
    )


def _parameter(found: Dispersion, name: str, truth: float) -> Measured:
    """Compare a parameter of the band with the truth."""
    return Measured(value=found.parameters[name], error=found.errors[name], truth=truth)


def _self_energy(found: Dispersion, truth: float) -> Measured:
    """Average the self-energy over the biases, which all have the same."""
    table = found.wave_numbers.isel(bias=found.wave_numbers["used"].values)
    weight = 1 / table["self_energy_std"].values ** 2
    value = float(np.average(table["self_energy"].values, weights=weight))
    return Measured(value=value, error=float(weight.sum() ** -0.5), truth=truth)
