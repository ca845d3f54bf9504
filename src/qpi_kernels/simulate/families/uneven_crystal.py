"""Kernels without symmetry: one to four orbitals at random, unequal bonds, several centres."""

from __future__ import annotations

import numpy as np

from qpi_kernels.simulate.bands.crystal import CrystalBand
from qpi_kernels.simulate.families.crystal_draws import (
    HOPPING,
    as_points,
    as_rows,
    as_vectors,
    centred,
    draw_bonds,
    draw_strength,
    hexagonal,
    oblique,
    rectangular,
    square,
)
from qpi_kernels.simulate.families.crystal_family import CrystalFamily
from qpi_kernels.simulate.scattering.site_impurity import SiteImpurity

_LATTICES = (oblique, rectangular, centred, square, hexagonal)
_MAX_CENTRES = 3


def _uneven_crystal(rng: np.random.Generator) -> tuple[CrystalBand, SiteImpurity]:
    """Draw orbitals anywhere in the cell of any lattice, and two or three unequal centres."""
    vectors = _LATTICES[int(rng.integers(len(_LATTICES)))](rng)
    count = int(rng.integers(1, 5))
    # A lattice constant is that of as many sites as there are.
    sites = rng.uniform(0, 1, (count, 2)) @ vectors
    band = CrystalBand(
        vectors_nm=as_vectors(vectors),
        sites_nm=as_points(sites),
        onsite=tuple(rng.normal(0, HOPPING, count).tolist()),
        bonds=draw_bonds(
            rng, vectors, sites, range(count), symmetric=False, phases=rng.random() < 0.3
        ),
        weights=tuple(rng.uniform(0.3, 1.0, count).tolist()),
    )
    centres = int(rng.integers(2, _MAX_CENTRES + 1))
    places = rng.permutation([(i, j, a) for i in range(3) for j in range(3) for a in range(count)])
    chosen = tuple((int(i), int(j), int(a)) for i, j, a in places[:centres])
    energies = [draw_strength(rng) for _ in range(centres)]
    exchange = float(rng.uniform(0.5, 2.0)) if rng.random() < 0.3 else 0.0
    return band, SiteImpurity(chosen, as_rows(np.diag(energies)), exchange)


FAMILY = CrystalFamily("uneven_crystal", 1, "uneven atoms of any lattice", _uneven_crystal)
