"""`CrystalFamily`: kernels of random tight-binding crystals whose atoms a sharp tip resolves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from qpi_kernels.simulate.bands.band import SimulationError
from qpi_kernels.simulate.bands.crystal import CrystalBand
from qpi_kernels.simulate.families.crystal_draws import HOPPING, as_points
from qpi_kernels.simulate.families.family import Recipe, draw_core, draw_damping
from qpi_kernels.simulate.scattering.site_impurity import SiteImpurity

__all__ = ["CrystalFamily"]

_MAX_DRAWS = 40
# Smallest and largest lattice constant, and blur of the density by the tip, in pixels.
_LATTICE_PX, _TIP_PX = (1.8, 12.0), (0.3, 1.9)
# Below this share of a hopping times a lattice constant, waves stand still.
_SLOWEST = 0.1
_GAP_TRIALS = 32


@dataclass(frozen=True)
class CrystalFamily:
    """A family of random crystals; a `Family`.

    Lattice constants are 1.8 to 12 pixels, and the tip blurs the density by 0.3 to 1.9 pixels: from
    kernels that are smooth to such that single pixels show atoms.
    """

    name: str
    """Its name."""
    fold: int
    """Symmetry of all its kernels; see `Recipe`."""
    describe: str
    """One line for display."""
    draw: Callable[[np.random.Generator], tuple[CrystalBand, SiteImpurity]]
    """``draw(rng)`` returns a crystal of lattice constant 1 nm, and an impurity."""
    band_limited: bool = field(default=False, init=False)
    """True if pixels sample its kernels well."""

    def recipe(self, rng: np.random.Generator, pixel_nm: float) -> Recipe:
        """Draw a kernel's recipe for a pixel size in nm.

        Raises
        ------
        SimulationError
            If no crystal of many draws has waves that move and are damped as drawn.
        """
        damping = draw_damping(rng, pixel_nm)
        lattice, tip = (
            float(np.exp(rng.uniform(*np.log(span)))) for span in (_LATTICE_PX, _TIP_PX)
        )
        for _ in range(_MAX_DRAWS):
            drawn, impurity = self.draw(rng)
            angle = float(rng.uniform(0, 360))
            band = _placed(drawn, lattice * pixel_nm, angle)
            energy = _draw_energy(rng, band)
            broadening = damping * band.largest_velocity(energy, 0.0, pixel_nm)
            # States within the broadening are faster than those at the energy, above all at a gap.
            broadening = float(damping * band.largest_velocity(energy, broadening, pixel_nm))
            slowest = _SLOWEST * HOPPING * lattice * pixel_nm
            reached = band.smallest_damping(energy, broadening, pixel_nm)
            if broadening > damping * slowest and reached > damping / 2:
                break
        else:
            raise SimulationError(
                f"{self.name}: none of {_MAX_DRAWS} crystals has waves that move and are damped as "
                "drawn; take another seed, or report the family"
            )
        return Recipe(
            family=self.name,
            fold=self.fold,
            band=band,
            bias=energy,
            impurity=impurity,
            broadening=broadening,
            tip_nm=tip * pixel_nm,
            core=draw_core(rng, max(tip, 0.5) * pixel_nm, self.fold, angle),
        )

    def variant(self, rng: np.random.Generator, recipe: Recipe, pixel_nm: float) -> Recipe:
        """Draw another scattering strength and core for a recipe of this family."""
        assert isinstance(recipe.impurity, SiteImpurity)
        impurity = recipe.impurity.scaled(float(np.exp(rng.uniform(-2, 2)) * rng.choice([-1, 1])))
        assert isinstance(recipe.band, CrystalBand)
        angle = float(np.rad2deg(np.arctan2(*recipe.band.vectors_nm[0][::-1])))
        unit = max(recipe.tip_nm, 0.5 * pixel_nm)
        return replace(recipe, impurity=impurity, core=draw_core(rng, unit, self.fold, angle))


def _placed(band: CrystalBand, scale: float, angle_deg: float) -> CrystalBand:
    """Scale a crystal and turn it, from x towards y."""
    cosine, sine = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    turn = scale * np.array([[cosine, sine], [-sine, cosine]])
    first, second, *sites = as_points(np.array([*band.vectors_nm, *band.sites_nm]) @ turn)
    return replace(band, vectors_nm=(first, second), sites_nm=tuple(sites))


def _draw_energy(rng: np.random.Generator, band: CrystalBand) -> float:
    """Draw the energy of a state; of a superconductor, one near the edge of its gap."""
    phases = torch.from_numpy(rng.uniform(0, 2 * np.pi, (2, _GAP_TRIALS)))
    energies = torch.linalg.eigvalsh(band.bloch(*phases).movedim(-1, 0)).numpy()
    if band.pairings:
        return float(energies.ravel()[np.abs(energies).ravel().argsort()[rng.integers(4)]])
    return float(rng.choice(energies[0]))
