"""Named materials: a band with the numbers that give a clean, well-sampled picture of it.

Importing this loads no torch: bands are made when they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from qpi_kernels.simulate import bands

if TYPE_CHECKING:
    from qpi_kernels.simulate.bands import Band

__all__ = ["MATERIALS", "ImpurityKind", "Material", "MaterialName"]

MaterialName = Literal[
    "Ag111",
    "Cu111",
    "Au111",
    "Be",
    "Bi2Se3",
    "Bi2Te3",
    "BiTeI",
    "graphene",
    "NbSe2",
    "square",
    "triangular",
    "Bi2212",
    "FeSe",
]
ImpurityKind = Literal["point", "phase_shift", "magnetic", "trimer", "cluster"]

_SCALAR: tuple[ImpurityKind, ...] = ("point", "phase_shift", "trimer", "cluster")
_SPIN: tuple[ImpurityKind, ...] = ("point", "phase_shift", "magnetic", "trimer", "cluster")
# A trimer does not fit a square lattice.
_SQUARE: tuple[ImpurityKind, ...] = ("point", "phase_shift", "cluster")
_SQUARE_SPIN: tuple[ImpurityKind, ...] = ("point", "phase_shift", "magnetic", "cluster")


@dataclass(frozen=True)
class Material:
    """A band and what suits it: energies, pixels, scatterers.

    The band's numbers are the literature's, as its class says; all others are chosen so that a
    kernel of 65 pixels shows several wavelengths and the lattice is resolved.

    Parameters
    ----------
    label : str
        Name for people.
    description : str
        One line: what it shows.
    make_band : callable
        Returns the band; imports torch.
    bias : float
        Sample bias of a single map in V.
    bias_range : tuple of float
        First and last bias of a stack in V.
    broadening : float
        Half-width of the states in eV.
    pixel_nm, tip_nm : float
        Pixel pitch, and the width of tip and orbitals; see `single_defect`.
    strength : float
        Potential (or exchange) of an impurity in eV nm^2.
    density : float
        Defects per 100 nm^2.
    impurities : tuple of str
        The kinds that make sense, the usual one first.
    cluster_nm : float
        Distance of the centres of a trimer or cluster from the defect; a lattice constant on a
        lattice.
    orbital : int, optional
        The only orbital (sublattice) that impurities act on; all when left out.
    """

    label: str
    description: str
    make_band: Callable[[], Band]
    bias: float
    bias_range: tuple[float, float]
    broadening: float
    pixel_nm: float
    tip_nm: float
    strength: float
    density: float
    impurities: tuple[ImpurityKind, ...]
    cluster_nm: float
    orbital: int | None = None


MATERIALS: dict[MaterialName, Material] = {
    "Ag111": Material(
        label="Ag(111)",
        description="Surface state of silver: round rings, a parabola in energy.",
        make_band=lambda: bands.ParabolicBand.silver(),
        bias=0.05,
        bias_range=(-0.05, 0.15),
        broadening=0.006,
        pixel_nm=0.3,
        tip_nm=0.2,
        strength=-1.0,
        density=1.0,
        impurities=_SCALAR,
        cluster_nm=1.0,
    ),
    "Cu111": Material(
        label="Cu(111)",
        description="Surface state of copper: as silver, with shorter waves.",
        make_band=lambda: bands.ParabolicBand.copper(),
        bias=0.05,
        bias_range=(-0.3, 0.3),
        broadening=0.03,
        pixel_nm=0.15,
        tip_nm=0.1,
        strength=-1.0,
        density=4.0,
        impurities=_SCALAR,
        cluster_nm=0.5,
    ),
    "Au111": Material(
        label="Au(111)",
        description="Spin-split surface state of gold: one ring, for spins do not flip.",
        make_band=lambda: bands.RashbaBand.gold(),
        bias=0.05,
        bias_range=(-0.3, 0.3),
        broadening=0.03,
        pixel_nm=0.15,
        tip_nm=0.1,
        strength=-1.0,
        density=4.0,
        impurities=_SPIN,
        cluster_nm=0.5,
    ),
    "Be": Material(
        label="Be-like anisotropic",
        description="Anisotropic surface state, as on Be(10-10): two-fold, elliptic rings.",
        make_band=lambda: bands.EllipticBand(mass_x=1.2, mass_y=0.4, onset=-0.35),
        bias=0.05,
        bias_range=(-0.25, 0.25),
        broadening=0.02,
        pixel_nm=0.15,
        tip_nm=0.1,
        strength=-1.0,
        density=4.0,
        impurities=_SCALAR,
        cluster_nm=0.5,
    ),
    "Bi2Se3": Material(
        label="Bi2Se3",
        description="Topological surface state, slightly warped: backscattering is missing.",
        make_band=lambda: bands.DiracBand.bismuth_selenide(),
        bias=0.1,
        bias_range=(-0.1, 0.2),
        broadening=0.01,
        pixel_nm=0.5,
        tip_nm=0.4,
        strength=0.2,
        density=0.4,
        impurities=_SPIN,
        cluster_nm=1.0,
    ),
    "Bi2Te3": Material(
        label="Bi2Te3",
        description="Topological surface state, strongly warped: a six-pointed star.",
        make_band=lambda: bands.DiracBand.bismuth_telluride(),
        bias=0.1,
        bias_range=(-0.1, 0.15),
        broadening=0.02,
        pixel_nm=0.45,
        tip_nm=0.4,
        strength=5.0,
        density=0.5,
        impurities=_SPIN,
        cluster_nm=1.0,
    ),
    "BiTeI": Material(
        label="BiTeI",
        description="Giant Rashba splitting, warped: scattering between two contours.",
        make_band=lambda: bands.BismuthTellurideIodide(),
        bias=-0.15,
        bias_range=(-0.25, 0.0),
        broadening=0.012,
        pixel_nm=0.4,
        tip_nm=0.4,
        strength=0.5,
        density=0.6,
        impurities=_SPIN,
        cluster_nm=1.0,
    ),
    "graphene": Material(
        label="graphene",
        description="Scatterer on one sublattice: three-fold, within and between the valleys.",
        make_band=lambda: bands.GrapheneBand(),
        bias=0.4,
        bias_range=(-0.4, 0.4),
        broadening=0.06,
        pixel_nm=0.06,
        tip_nm=0.08,
        strength=1.0,
        density=20.0,
        impurities=_SCALAR,
        cluster_nm=0.246,
        orbital=0,
    ),
    "NbSe2": Material(
        label="2H-NbSe2-like",
        description="Triangular lattice with far hopping, as in a dichalcogenide.",
        make_band=lambda: bands.TriangularBand.niobium_diselenide(),
        bias=0.0,
        bias_range=(-0.1, 0.1),
        broadening=0.015,
        pixel_nm=0.07,
        tip_nm=0.11,
        strength=0.1,
        density=18.0,
        impurities=_SCALAR,
        cluster_nm=0.344,
    ),
    "square": Material(
        label="square lattice",
        description="Tight-binding band with atomic resolution, four-fold.",
        make_band=lambda: bands.SquareBand(hopping=0.1, lattice_nm=0.4, diagonal=-0.02),
        bias=-0.2,
        bias_range=(-0.3, 0.3),
        broadening=0.01,
        pixel_nm=0.08,
        tip_nm=0.13,
        strength=-0.1,
        density=15.0,
        impurities=_SQUARE,
        cluster_nm=0.4,
    ),
    "triangular": Material(
        label="triangular lattice",
        description="Tight-binding band with atomic resolution, six-fold.",
        make_band=lambda: bands.TriangularBand(hopping=0.1, lattice_nm=0.4),
        bias=-0.3,
        bias_range=(-0.4, 0.2),
        broadening=0.01,
        pixel_nm=0.08,
        tip_nm=0.13,
        strength=0.1,
        density=15.0,
        impurities=_SCALAR,
        cluster_nm=0.4,
    ),
    "Bi2212": Material(
        label="Bi2212-like",
        description="d-wave superconductor: the octet of a cuprate's banana contours.",
        make_band=lambda: bands.CuprateSuperconductor(),
        bias=-0.02,
        bias_range=(-0.04, 0.04),
        broadening=0.006,
        pixel_nm=0.09,
        tip_nm=0.12,
        strength=0.05,
        density=10.0,
        impurities=_SQUARE_SPIN,
        cluster_nm=0.383,
    ),
    "FeSe": Material(
        label="FeSe-like nematic",
        description="Crossed hole and electron pockets of a nematic metal, two-fold.",
        make_band=lambda: bands.NematicPockets(),
        bias=0.0,
        bias_range=(-0.01, 0.01),
        broadening=0.0015,
        pixel_nm=0.4,
        tip_nm=0.3,
        strength=0.3,
        density=0.6,
        impurities=_SCALAR,
        cluster_nm=1.0,
    ),
}
"""All materials by name."""
