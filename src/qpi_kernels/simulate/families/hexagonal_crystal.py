"""Six-fold kernels of crystals on the hexagonal lattice: triangular, honeycomb and kagome."""

from qpi_kernels.simulate.families.crystal_draws import Basis, hexagonal
from qpi_kernels.simulate.families.crystal_family import CrystalFamily
from qpi_kernels.simulate.families.plain_crystals import plain_crystal

_THIRD = 1 / 3
_HOLLOW = ((0.0, 0.0),)
FAMILY = CrystalFamily(
    "hexagonal_crystal",
    6,
    "atoms of a hexagonal lattice",
    plain_crystal(
        [
            (hexagonal, Basis(((0.0, 0.0),), (0,), _HOLLOW)),
            (
                hexagonal,
                Basis(((_THIRD, _THIRD), (2 * _THIRD, 2 * _THIRD)), (0, 0), _HOLLOW),
            ),
            (hexagonal, Basis(((0.5, 0.0), (0.0, 0.5), (0.5, 0.5)), (0, 0, 0), _HOLLOW)),
        ]
    ),
)
