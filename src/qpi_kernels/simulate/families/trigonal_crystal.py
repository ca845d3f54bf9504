"""Three-fold kernels of crystals on the hexagonal lattice: triangles, and honeycomb sites."""

from qpi_kernels.simulate.families.crystal_draws import Basis, hexagonal
from qpi_kernels.simulate.families.crystal_family import CrystalFamily
from qpi_kernels.simulate.families.plain_crystals import plain_crystal

_TRIANGLE = ((1 / 3, 1 / 3),)
_HONEYCOMB = ((1 / 3, 1 / 3), (2 / 3, 2 / 3))
FAMILY = CrystalFamily(
    "trigonal_crystal",
    3,
    "atoms about a three-fold axis",
    plain_crystal(
        [
            (hexagonal, Basis(((0.0, 0.0),), (0,), _TRIANGLE)),
            (hexagonal, Basis(_HONEYCOMB, (0, 0), _TRIANGLE)),
            (hexagonal, Basis(_HONEYCOMB, (0, 1), (*_TRIANGLE, (0.0, 0.0)))),
            (hexagonal, Basis(((0.5, 0.0), (0.0, 0.5), (0.5, 0.5)), (0, 0, 0), _TRIANGLE)),
        ]
    ),
)
