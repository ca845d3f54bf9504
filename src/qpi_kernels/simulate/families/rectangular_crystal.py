"""Two-fold kernels of crystals on rectangular lattices, primitive and centred."""

from qpi_kernels.simulate.families.crystal_draws import Basis, centred, rectangular
from qpi_kernels.simulate.families.crystal_family import CrystalFamily
from qpi_kernels.simulate.families.plain_crystals import plain_crystal

_BASIS = Basis(((0.0, 0.0),), (0,), ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5)))
FAMILY = CrystalFamily(
    "rectangular_crystal",
    2,
    "atoms of a rectangular lattice",
    plain_crystal([(rectangular, _BASIS), (centred, _BASIS)]),
)
