"""Two-fold kernels of crystals on oblique lattices."""

from qpi_kernels.simulate.families.crystal_draws import Basis, oblique
from qpi_kernels.simulate.families.crystal_family import CrystalFamily
from qpi_kernels.simulate.families.plain_crystals import plain_crystal

_BASIS = Basis(((0.0, 0.0),), (0,), ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5)))
FAMILY = CrystalFamily(
    "oblique_crystal", 2, "atoms of an oblique lattice", plain_crystal([(oblique, _BASIS)])
)
