"""Crystals whose bonds keep the symmetry of their lattice."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from qpi_kernels.simulate.bands.crystal import CrystalBand
from qpi_kernels.simulate.families.crystal_draws import (
    HOPPING,
    Basis,
    Lattice,
    as_points,
    as_vectors,
    draw_bonds,
    draw_potential,
    nearest_sites,
)
from qpi_kernels.simulate.scattering.site_impurity import SiteImpurity

__all__ = ["plain_crystal"]

_MAX_ORBITALS = 4


def plain_crystal(
    choices: Sequence[tuple[Lattice, Basis]],
) -> Callable[[np.random.Generator], tuple[CrystalBand, SiteImpurity]]:
    """Make the draw of crystals with the symmetries of their lattice and basis.

    Sites have one orbital or two, the tip sees classes differently, and hoppings reach several
    shells; the impurity sits about one of the basis's centres.

    Parameters
    ----------
    choices : sequence of (Lattice, Basis)
        To draw from.
    """

    def draw(rng: np.random.Generator) -> tuple[CrystalBand, SiteImpurity]:
        """Draw a lattice, its bonds and an impurity."""
        lattice, basis = choices[int(rng.integers(len(choices)))]
        vectors = lattice(rng)
        twice = 2 * len(basis.places) <= _MAX_ORBITALS and rng.random() < 0.4
        places = basis.places * (2 if twice else 1)
        classes = [*basis.classes, *(one + 10 for one in basis.classes)][: len(places)]
        sites = np.array(places) @ vectors
        of_class = {
            one: (float(rng.normal(0, HOPPING)), float(rng.uniform(0.3, 1.0)))
            for one in sorted(set(classes))
        }
        band = CrystalBand(
            vectors_nm=as_vectors(vectors),
            sites_nm=as_points(sites),
            onsite=tuple(of_class[one][0] for one in classes),
            bonds=draw_bonds(rng, vectors, sites, classes, symmetric=True),
            weights=tuple(of_class[one][1] for one in classes),
        )
        centre = np.array(basis.centres[int(rng.integers(len(basis.centres)))]) @ vectors
        chosen = nearest_sites(vectors, sites, centre)
        empty = SiteImpurity(chosen, ((0.0,) * len(chosen),) * len(chosen))
        return band, draw_potential(rng, vectors, sites, empty)

    return draw
