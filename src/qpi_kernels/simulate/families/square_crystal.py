"""Four-fold kernels of crystals on the square lattice: simple, checkerboard and Lieb."""

from qpi_kernels.simulate.families.crystal_draws import Basis, square
from qpi_kernels.simulate.families.crystal_family import CrystalFamily
from qpi_kernels.simulate.families.plain_crystals import plain_crystal

_CENTRES = ((0.0, 0.0), (0.5, 0.5))
FAMILY = CrystalFamily(
    "square_crystal",
    4,
    "atoms of a square lattice",
    plain_crystal(
        [
            (square, Basis(((0.0, 0.0),), (0,), _CENTRES)),
            (square, Basis(((0.0, 0.0), (0.5, 0.5)), (0, 1), _CENTRES)),
            (square, Basis(((0.0, 0.0), (0.5, 0.0), (0.0, 0.5)), (0, 1, 1), _CENTRES)),
        ]
    ),
)
