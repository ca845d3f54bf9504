"""The Python script that repeats a simulation without napari."""

from __future__ import annotations

from qpi_kernels.simulate.scan.parameters import SceneParameters

__all__ = ["simulation_script"]


def simulation_script(parameters: SceneParameters) -> str:
    """Write the script.

    Parameters
    ----------
    parameters : SceneParameters
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

from qpi_kernels.io.formats.netcdf import save_scan
from qpi_kernels.simulate.scan.simulation import SceneParameters, scene_dataset, simulate_scene

parameters = SceneParameters(
{arguments}
)
scene = simulate_scene(parameters)
print(scene.observation)  # and scene.kernel, scene.defects
save_scan(scene_dataset(scene), "simulated.nc")
scene.defects.to_csv("simulated_defects.csv")
'''
