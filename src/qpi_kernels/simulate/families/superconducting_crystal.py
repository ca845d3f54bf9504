"""Two-fold kernels of superconductors of any lattice, with gaps of several symmetries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qpi_kernels.simulate.bands.crystal import Bond, CrystalBand
from qpi_kernels.simulate.families.crystal_draws import (
    HOPPING,
    Basis,
    centred,
    hexagonal,
    oblique,
    rectangular,
    square,
)
from qpi_kernels.simulate.families.crystal_family import CrystalFamily
from qpi_kernels.simulate.families.plain_crystals import plain_crystal
from qpi_kernels.simulate.scattering.site_impurity import SiteImpurity

_SITE = Basis(((0.0, 0.0),), (0,), ((0.0, 0.0), (0.5, 0.0)))
_LATTICES = (oblique, rectangular, centred, square, hexagonal)
_normal = plain_crystal([(lattice, _SITE) for lattice in _LATTICES])


def _superconducting_crystal(rng: np.random.Generator) -> tuple[CrystalBand, SiteImpurity]:
    """Draw a crystal with a gap on its sites, or on its bonds with a sign for each direction."""
    band, impurity = _normal(rng)
    gap = HOPPING * float(rng.uniform(0.15, 0.6))
    pairings: list[Bond] = []
    if rng.random() < 0.5:
        pairings = [(0, 0, a, a, gap) for a in range(band.electrons)]
    if not pairings or rng.random() < 0.3:
        signs = rng.choice([-1, 1], 2)
        for (i, j), sign in zip(((1, 0), (0, 1)), signs, strict=True):
            pairings += [(i, j, a, a, 0.5 * gap * float(sign)) for a in range(band.electrons)]
    return replace(band, pairings=tuple(pairings)), impurity


FAMILY = CrystalFamily(
    "superconducting_crystal", 2, "superconductor of any lattice", _superconducting_crystal
)
