"""Two-fold kernels of defects on a bond of a square or hexagonal lattice."""

from qpi_kernels.simulate.families.crystal_draws import Basis, hexagonal, square
from qpi_kernels.simulate.families.crystal_family import CrystalFamily
from qpi_kernels.simulate.families.plain_crystals import plain_crystal

_BOND = ((0.5, 0.0),)
FAMILY = CrystalFamily(
    "bond_defect",
    2,
    "defect on a bond of a square or hexagonal lattice",
    plain_crystal(
        [
            (square, Basis(((0.0, 0.0),), (0,), _BOND)),
            (square, Basis(((0.0, 0.0), (0.5, 0.0), (0.0, 0.5)), (0, 1, 1), _BOND)),
            (hexagonal, Basis(((0.0, 0.0),), (0,), _BOND)),
            (hexagonal, Basis(((1 / 3, 1 / 3), (2 / 3, 2 / 3)), (0, 0), ((0.5, 0.5),))),
            (hexagonal, Basis(((0.5, 0.0), (0.0, 0.5), (0.5, 0.5)), (0, 0, 0), _BOND)),
        ]
    ),
)
