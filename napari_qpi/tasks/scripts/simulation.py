"""The Python script that repeats a simulation without napari."""

from __future__ import annotations

from qpi_kernels.simulate.scan.parameters import SimulatedScanParameters

__all__ = ["simulation_script"]


def simulation_script(parameters: SimulatedScanParameters) -> str:
    """Write the script.

    Parameters
    ----------
    parameters : SimulatedScanParameters
        What was simulated.

    Returns
    -------
    str
        A complete script that ends with ``simulated.nc`` and ``simulated_defects.csv``.
    """
    arguments = "\n".join(
        f"    {name}={value!r}," for name, value in parameters.model_dump().items()
    )
    label = parameters.known_material.label
    return f'''\
"""Simulate a map of {label} again, without napari."""

from qpi_kernels.io.array_notes import frame_of
from qpi_kernels.io.formats.netcdf import save_scan
from qpi_kernels.simulate import (
    SimulatedScanParameters,
    simulate_scan,
    simulated_scan_dataset,
)

parameters = SimulatedScanParameters(
{arguments}
)
scene = simulate_scan(parameters)
print(scene.observation)  # and scene.kernel, scene.defects
scan = simulated_scan_dataset(scene)
save_scan(scan, "simulated.nc")
scene.defects.to_csv("simulated_defects.csv", frame=frame_of(scan))
'''
