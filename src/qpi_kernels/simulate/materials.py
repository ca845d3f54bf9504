"""Named materials: those that the files of `bands` list, and those registered later.

Importing this loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

from qpi_kernels.parameters import OneOf
from qpi_kernels.simulate.bands.material import Material

__all__ = ["MATERIALS", "Material", "MaterialName", "register_material"]

# In the order of the forms.
_BAND_FILES = ("free_electrons", "spin_orbit", "lattices", "superconductor")

MATERIALS: dict[str, Material] = {}
"""All materials by name."""

MaterialName = Annotated[str, OneOf(MATERIALS)]


def register_material(material: Material) -> None:
    """Add a material to `MATERIALS`, and so to forms, command-line options and `simulate_scan`.

    Parameters
    ----------
    material : Material
        With a name of its own.

    Raises
    ------
    ValueError
        If another material has the name.
    """
    if material.name in MATERIALS:
        raise ValueError(f"there is a material {material.name!r} already; choose another name")
    MATERIALS[material.name] = material


for _file in _BAND_FILES:
    for _material in import_module(f"qpi_kernels.simulate.bands.{_file}").MATERIALS:
        register_material(_material)
