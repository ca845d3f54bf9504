"""`SimulationPreview`: one plane of a simulated scan with its Fourier transforms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import xarray as xr

from napari_qpi.tasks.job import load_torch
from qpi_kernels.inspect import fourier_magnitude
from qpi_kernels.progress import Event
from qpi_kernels.simulate.scan.parameters import SimulatedScanParameters

if TYPE_CHECKING:
    from qpi_kernels.simulate.scan.simulation import ScanSimulation, SimulatedScan

__all__ = ["SimulatedPlane", "SimulationPreview", "start_scene"]

# Finer steps in q let a small kernel's rings look round.
_PADDING = 2


@dataclass(frozen=True, eq=False)
class SimulatedPlane:
    """What a preview shows: a scene of one bias, and |FFT| of its kernel and of its map."""

    scene: SimulatedScan
    kernel_fft: xr.DataArray
    observation_fft: xr.DataArray


class SimulationPreview:
    """Stepper that simulates a scene at one bias; make it in the worker, it imports torch.

    Parameters
    ----------
    parameters : SimulatedScanParameters
        The scene.
    bias : float
        In V. Of a stack's plane the preview shows the signal exactly, but another draw of the
        noise.
    """

    def __init__(self, parameters: SimulatedScanParameters, bias: float) -> None:
        self._simulation = start_scene(parameters.at(bias))
        self._plane: SimulatedPlane | None = None

    @property
    def done(self) -> bool:
        """Whether the plane is ready."""
        return self._plane is not None

    @property
    def result(self) -> SimulatedPlane:
        """The plane."""
        if self._plane is None:
            raise RuntimeError("the preview is not done")
        return self._plane

    def step(self) -> Event:
        """Simulate; at the end transform."""
        event = self._simulation.step()
        if self._simulation.done:
            scene = self._simulation.result
            self._plane = SimulatedPlane(
                scene,
                fourier_magnitude(scene.kernel, padding=_PADDING),
                fourier_magnitude(scene.observation),
            )
        return event


def start_scene(parameters: SimulatedScanParameters) -> ScanSimulation:
    """Give the stepper of a whole scene; call this in the worker, it imports torch."""
    load_torch()
    from qpi_kernels.simulate.scan.simulation import ScanSimulation

    return ScanSimulation(parameters)
