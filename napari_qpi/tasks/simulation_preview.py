"""`SimulationPreview`: one plane of a simulated scan with its Fourier transforms."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import xarray as xr

from napari_qpi.tasks.job import load_torch
from qpi_kernels.inspect import fourier
from qpi_kernels.progress import Event, GeneratorStepper
from qpi_kernels.simulate.scan.parameters import SimulatedScanParameters

if TYPE_CHECKING:
    from qpi_kernels.simulate.scan.simulation import ScanSimulation, SimulatedScan

__all__ = ["SimulatedPlane", "SimulationPreview", "start_simulation"]

# Finer steps in q let a small kernel's rings look round.
_PADDING = 2


@dataclass(frozen=True, eq=False)
class SimulatedPlane:
    """A simulated scan of one bias, with |FFT| of its kernel and of its map."""

    scan: SimulatedScan
    kernel_fft: xr.DataArray
    observation_fft: xr.DataArray


class SimulationPreview(GeneratorStepper[SimulatedPlane]):
    """Simulate a scan at one bias, with the transforms of kernel and map.

    Parameters
    ----------
    parameters : SimulatedScanParameters
        The scan.
    bias : float
        In V. Of a stack's plane the preview shows the signal exactly, but another draw of the
        noise.
    """

    def __init__(self, parameters: SimulatedScanParameters, bias: float) -> None:
        self._parameters = parameters.at(bias)

    def _run(self) -> Generator[Event, None, SimulatedPlane]:
        """Simulate a scan, then transform kernel and map."""
        simulation = start_simulation(self._parameters)
        while not simulation.done:
            yield simulation.step()
        scan = simulation.result
        return SimulatedPlane(
            scan,
            fourier(scan.kernel, padding=_PADDING),
            fourier(scan.observation),
        )


def start_simulation(parameters: SimulatedScanParameters) -> ScanSimulation:
    """Start the simulation of a whole scan; call this in the worker, it imports torch."""
    load_torch()
    from qpi_kernels.simulate.scan.simulation import ScanSimulation

    return ScanSimulation(parameters)
