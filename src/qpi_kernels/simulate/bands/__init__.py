"""Band models: H(k) of a material, its lattice, and how a tip sees it."""

from qpi_kernels.simulate.bands.band import (
    HBAR2_OVER_2M,
    Band,
    RotatedBand,
    SimulationError,
    SingleBand,
)
from qpi_kernels.simulate.bands.custom import CustomBand, HamiltonianError
from qpi_kernels.simulate.bands.free_electrons import (
    EllipticBand,
    NematicPockets,
    ParabolicBand,
    WarpedBand,
)
from qpi_kernels.simulate.bands.lattices import GrapheneBand, SquareBand, TriangularBand
from qpi_kernels.simulate.bands.spin_orbit import (
    BismuthTellurideIodide,
    DiracBand,
    RashbaBand,
    SpinBand,
)
from qpi_kernels.simulate.bands.superconductor import CuprateSuperconductor
from qpi_kernels.simulate.bands.wannier import (
    WannierBand,
    WannierFormatError,
    read_wannier_hr,
)

__all__ = [
    "HBAR2_OVER_2M",
    "Band",
    "BismuthTellurideIodide",
    "CuprateSuperconductor",
    "CustomBand",
    "DiracBand",
    "EllipticBand",
    "GrapheneBand",
    "HamiltonianError",
    "NematicPockets",
    "ParabolicBand",
    "RashbaBand",
    "RotatedBand",
    "SimulationError",
    "SingleBand",
    "SpinBand",
    "SquareBand",
    "TriangularBand",
    "WannierBand",
    "WannierFormatError",
    "WarpedBand",
    "read_wannier_hr",
]
