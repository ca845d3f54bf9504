"""Named materials: those that the files of `bands` list, and those registered later.

Importing this loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

from qpi_kernels.parameters import OneOf
from qpi_kernels.simulate.bands.material import Material

__all__ = [
    "Material",
    "MaterialName",
    "known_materials",
    "register_material",
    "unregister_material",
]

# In the order of the forms.
_BAND_FILES = ("free_electrons", "spin_orbit", "lattices", "superconductor")

_registered: dict[str, Material] = {}

MaterialName = Annotated[str, OneOf(_registered)]


def known_materials() -> dict[str, Material]:
    """List the materials by name, our own first."""
    return dict(_registered)


def register_material(material: Material) -> Material:
    """Make a material known to `simulate_scan`, the command line and the forms.

    Parameters
    ----------
    material : Material
        With a name of its own.

    Raises
    ------
    ValueError
        If another material has the name.
    """
    name = material.name
    if _registered.get(name, material) != material:
        raise ValueError(f"there is a material {name!r} already; give this one another name")
    _registered[name] = material
    return material


def unregister_material(name: str) -> None:
    """Forget a material that `register_material` added."""
    _registered.pop(name, None)


for _file in _BAND_FILES:
    for _material in import_module(f"qpi_kernels.simulate.bands.{_file}").MATERIALS:
        register_material(_material)
