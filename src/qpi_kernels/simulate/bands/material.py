"""`Material`: a band with the numbers that give a clean, well-sampled picture of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from qpi_kernels.simulate.bands.band import Band

__all__ = ["ImpurityKind", "Material"]

ImpurityKind = Literal["point", "phase_shift", "magnetic", "trimer", "cluster"]

_SCALAR: tuple[ImpurityKind, ...] = ("point", "phase_shift", "trimer", "cluster")


@dataclass(frozen=True)
class Material:
    """A band and what suits it: energies, pixels, scatterers.

    The band's numbers are the literature's, as its class says; all others are chosen so that a
    kernel of 65 pixels shows several wavelengths and the lattice is resolved. A list ``MATERIALS``
    of these in a file of `qpi_kernels.simulate.bands` registers them.

    Parameters
    ----------
    name : str
        Identifier, as in ``SimulatedScanParameters(material="Ag111")``.
    label : str
        Name for display.
    description : str
        One line: what it shows.
    make_band : callable
        Returns the band.
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
    cluster_nm : float
        Distance of the centres of a trimer or cluster from the defect; a lattice constant on a
        lattice.
    impurities : tuple of str
        The kinds that make sense, the usual one first.
    orbital : int, optional
        The only orbital (sublattice) that impurities act on; all when left out.
    """

    name: str
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
    cluster_nm: float
    impurities: tuple[ImpurityKind, ...] = _SCALAR
    orbital: int | None = None
