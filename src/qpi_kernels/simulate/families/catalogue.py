"""All families of kernels, by name."""

from __future__ import annotations

from qpi_kernels.simulate.families import (
    bond_defect,
    hexagonal_crystal,
    oblique_crystal,
    rectangular_crystal,
    square_crystal,
    superconducting_crystal,
    trigonal_crystal,
    uneven_crystal,
)
from qpi_kernels.simulate.families.band_families import BAND_FAMILIES
from qpi_kernels.simulate.families.family import Family

__all__ = ["FAMILIES"]

_ALL: tuple[Family, ...] = (
    *BAND_FAMILIES,
    oblique_crystal.FAMILY,
    rectangular_crystal.FAMILY,
    bond_defect.FAMILY,
    superconducting_crystal.FAMILY,
    trigonal_crystal.FAMILY,
    square_crystal.FAMILY,
    hexagonal_crystal.FAMILY,
    uneven_crystal.FAMILY,
)
FAMILIES: dict[str, Family] = {family.name: family for family in _ALL}
"""All families by name."""
