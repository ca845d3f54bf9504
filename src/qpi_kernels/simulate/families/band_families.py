"""Families of bands under a tip about as wide as a pixel, whose waves are well sampled.

Lengths are drawn in pixels and only then turned into nm, so that a family looks alike at every
pixel size: its rings are a few to a dozen pixels wide, its lattices are resolved, and its waves
neither die within a few pixels nor outlive the window by far.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from qpi_kernels.simulate.bands import (
    HBAR2_OVER_2M,
    Band,
    CuprateSuperconductor,
    DiracBand,
    EllipticBand,
    GrapheneBand,
    NematicPockets,
    ParabolaPair,
    ParabolicBand,
    RashbaBand,
    RotatedBand,
    SquareBand,
    TriangularBand,
    WarpedBand,
)
from qpi_kernels.simulate.families.family import ISOTROPIC, Recipe, draw_core, draw_damping
from qpi_kernels.simulate.scattering.impurities import (
    ClusterImpurity,
    Impurity,
    MagneticImpurity,
    PhaseShiftImpurity,
)

__all__ = ["BAND_FAMILIES", "BandFamily"]

_MAX_DRAWS = 20
# eV per inverse pixel; the families' band widths are of the order of 1 eV.
_SLOWEST_PX = 0.02
_LATTICE_TIP = (1.5, 1.9)


@dataclass(frozen=True)
class BandFamily:
    """A family of kernels of a band and an impurity of the simulator; a `Family`."""

    name: str
    """Its name."""
    fold: int
    """Symmetry of all its kernels; see `Recipe`."""
    describe: str
    """One line for display."""
    draw: Callable[[np.random.Generator, float], tuple[Band, float, Impurity]]
    """``draw(rng, pixel_nm)`` returns a band, an energy in eV and an impurity; `Family.recipe` adds
    the rest."""
    tip_px: tuple[float, float] = (1.0, 1.4)
    """Range of the form factor's width in pixels; with less than one pixel a kernel is not sampled
    well enough to be shifted by half a pixel, an atomic lattice needs more."""
    band_limited: bool = field(default=True, init=False)
    """True if pixels sample its kernels well."""

    def recipe(self, rng: np.random.Generator, pixel_nm: float) -> Recipe:
        """Draw a kernel's recipe for a pixel size in nm."""
        damping = draw_damping(rng, pixel_nm)
        for _ in range(_MAX_DRAWS):
            band, energy, impurity = self.draw(rng, pixel_nm)
            contour = band.contour(energy, 0.0, pixel_nm)
            # In a gap nothing propagates, and at a band's edge next to nothing.
            if contour.distance == 0 and contour.speed > _SLOWEST_PX * pixel_nm:
                break
        turned = RotatedBand(band, float(rng.uniform(0, 360)))
        if isinstance(impurity, ClusterImpurity):
            impurity = impurity.turned(turned.angle_deg)
        return Recipe(
            family=self.name,
            fold=self.fold,
            band=turned,
            bias=energy,
            impurity=impurity,
            broadening=float(damping * contour.speed),
            tip_nm=float(rng.uniform(*self.tip_px) * pixel_nm),
            core=draw_core(rng, pixel_nm, self.fold, turned.angle_deg),
        )

    def variant(self, rng: np.random.Generator, recipe: Recipe, pixel_nm: float) -> Recipe:
        """Draw another scattering strength and core for a recipe of this family."""
        impurity = recipe.impurity
        if isinstance(impurity, PhaseShiftImpurity):
            impurity = replace(_point(rng), orbital=impurity.orbital)
        elif isinstance(impurity, ClusterImpurity | MagneticImpurity):
            impurity = impurity.scaled(float(rng.uniform(0.3, 2.0) * rng.choice([-1, 1])))
        assert isinstance(recipe.band, RotatedBand)
        core = draw_core(rng, pixel_nm, self.fold, recipe.band.angle_deg)
        return replace(recipe, impurity=impurity, core=core)


def _wave_number(
    rng: np.random.Generator, pixel_nm: float, smallest: float = 0.2, largest: float = 0.95
) -> float:
    """Draw k in 1/nm: rings 3.3 to 16 pixels apart, sampled without aliasing (2 k < pi / pixel)."""
    return float(np.exp(rng.uniform(np.log(smallest), np.log(largest)))) / pixel_nm


def _mass(wave_number: float, energy: float) -> float:
    """Compute the mass whose parabola has a wave number in 1/nm at an energy in eV."""
    return HBAR2_OVER_2M * wave_number**2 / energy


def _point(rng: np.random.Generator, orbital: int | None = None) -> PhaseShiftImpurity:
    """Draw a phase shift, weak to unitary, of both signs; three in ten absorb too."""
    amplitude = 1.0 if rng.random() < 0.7 else float(rng.uniform(0, 1))
    phase = float(rng.uniform(0.15, np.pi / 2) * rng.choice([-1, 1]))
    return PhaseShiftImpurity(phase, amplitude, orbital)


def _free_electrons(rng: np.random.Generator, pixel_nm: float) -> tuple[Band, float, Impurity]:
    """Draw a round parabola."""
    k, energy = _wave_number(rng, pixel_nm), 0.3
    return ParabolicBand(_mass(k, energy), onset=0.0), energy, _point(rng)


def _rashba(rng: np.random.Generator, pixel_nm: float) -> tuple[Band, float, Impurity]:
    """Draw a Rashba-split parabola."""
    k, energy = _wave_number(rng, pixel_nm, largest=0.8), 0.3
    splitting = rng.uniform(0.1, 0.5) * energy / k
    band = RashbaBand(_mass(k, energy), 0.0, float(splitting))
    return band, energy, _point(rng)


def _elliptic(rng: np.random.Generator, pixel_nm: float) -> tuple[Band, float, Impurity]:
    """Draw an anisotropic parabola with a mass ratio of 1.5 to 5."""
    k, energy = _wave_number(rng, pixel_nm), 0.3
    ratio = rng.uniform(1.5, 5.0)
    return EllipticBand(_mass(k / ratio**0.5, energy), _mass(k, energy), 0.0), energy, _point(rng)


def _nematic_pockets(rng: np.random.Generator, pixel_nm: float) -> tuple[Band, float, Impurity]:
    """Draw crossed pockets, and scatterers on one of them or on both."""
    top, bottom = 0.3 * rng.uniform(0.5, 1.0), -0.3 * rng.uniform(0.5, 1.0)
    hole, electron = (_wave_number(rng, pixel_nm, largest=0.9) for _ in range(2))
    narrow = rng.uniform(0.35, 0.7, 2).tolist()
    band = NematicPockets(
        hole_mass_x=_mass(hole * narrow[0], top),
        hole_mass_y=_mass(hole, top),
        electron_mass_x=_mass(electron, -bottom),
        electron_mass_y=_mass(electron * narrow[1], -bottom),
        hole_top=top,
        electron_bottom=bottom,
    )
    orbital = [None, 0, 1][int(rng.integers(3))]
    return band, 0.0, _point(rng, orbital)


def _warped(
    fold: int, smallest: float, largest: float, smallest_k: float = 0.2
) -> Callable[[np.random.Generator, float], tuple[Band, float, Impurity]]:
    """Make the draw of n-fold warped parabolas."""

    def draw(rng: np.random.Generator, pixel_nm: float) -> tuple[Band, float, Impurity]:
        warping = float(rng.uniform(smallest, largest) * rng.choice([-1, 1]))
        # The longest wave vector of the contour is that of the smallest energy factor.
        k, energy = _wave_number(rng, pixel_nm, smallest_k), 0.3
        mass = _mass(k * (1 - abs(warping)) ** 0.5, energy)
        return WarpedBand(mass, 0.0, fold, warping), energy, _point(rng)

    return draw


def _square_lattice(rng: np.random.Generator, pixel_nm: float) -> tuple[Band, float, Impurity]:
    """Draw a square-lattice band and an energy within it."""
    lattice = float(rng.uniform(5.0, 9.0)) * pixel_nm
    band = SquareBand(0.1, lattice, 0.0, float(-0.1 * rng.uniform(0, 0.3)))
    return band, float(0.1 * rng.uniform(-3.2, 3.2)), _point(rng)


def _cuprate(rng: np.random.Generator, pixel_nm: float) -> tuple[Band, float, Impurity]:
    """Draw a d-wave superconductor and an energy within its gap."""
    lattice = float(rng.uniform(5.0, 8.0)) * pixel_nm
    gap = float(rng.uniform(0.08, 0.2))
    band = CuprateSuperconductor(gap, lattice, shift=float(rng.uniform(-0.05, 0.05)))
    energy = float(gap * rng.uniform(0.2, 1.0) * rng.choice([-1, 1]))
    return band, energy, _point(rng)


def _triangular_lattice(rng: np.random.Generator, pixel_nm: float) -> tuple[Band, float, Impurity]:
    """Draw a triangular-lattice band and an energy within it."""
    lattice = float(rng.uniform(5.0, 9.0)) * pixel_nm
    band = TriangularBand(0.1, lattice)
    return band, float(0.1 * rng.uniform(-5.4, 2.6)), _point(rng)


def _dichalcogenide(rng: np.random.Generator, pixel_nm: float) -> tuple[Band, float, Impurity]:
    """Draw hoppings about those of NbSe2."""
    lattice = float(rng.uniform(5.0, 8.0)) * pixel_nm
    base = TriangularBand.niobium_diselenide()
    scale = rng.uniform(0.7, 1.3, 1 + len(base.further))
    further = tuple((np.array(base.further) * scale[1:]).tolist())
    band = TriangularBand(base.hopping * float(scale[0]), lattice, base.centre, further)
    return band, float(rng.uniform(-0.15, 0.15)), _point(rng)


def _warped_dirac(rng: np.random.Generator, pixel_nm: float) -> tuple[Band, float, Impurity]:
    """Draw a warped Dirac cone and a scalar or magnetic scatterer."""
    band, energy = _dirac_band(rng, pixel_nm)
    if rng.random() < 0.3:
        strength = 4.0 * np.pi * band.velocity**2 / energy  # 1 / local density of a spin
        exchange = float(strength * rng.uniform(0.3, 1.0) * rng.choice([-1, 1]))
        return band, energy, MagneticImpurity(exchange, float(strength * rng.uniform(-1, 1)))
    return band, energy, _point(rng)


def _dirac_band(rng: np.random.Generator, pixel_nm: float) -> tuple[DiracBand, float]:
    """Draw a Dirac cone and the energy at which its contour is warped."""
    # The cubic warping has no meaning far above the contour, where small k would let it reach.
    k, velocity = _wave_number(rng, pixel_nm, 0.5, 0.85), 0.3
    warping = float(rng.uniform(1.0, 2.5)) * velocity / k**2
    # Between the valleys of the field the contour reaches k, on its ridges less.
    return DiracBand(velocity, warping), velocity * k


def _trigonal_dirac(rng: np.random.Generator, pixel_nm: float) -> tuple[Band, float, Impurity]:
    """Draw three scatterers on a warped Dirac cone."""
    band, energy = _dirac_band(rng, pixel_nm)
    k = energy / band.velocity
    density = energy / (2 * np.pi * band.velocity**2)
    strength = float(rng.uniform(0.3, 2.0) * rng.choice([-1, 1]) / (np.pi * density))
    radius = float(rng.uniform(1.8, 3.2)) / k
    return band, energy, ClusterImpurity.trimer(radius, strength, 90.0, 0.5 * pixel_nm)


def _trimer(rng: np.random.Generator, pixel_nm: float) -> tuple[Band, float, Impurity]:
    """Draw three scatterers on a round or six-fold parabola."""
    k, energy = _wave_number(rng, pixel_nm), 0.3
    band: Band = ParabolicBand(_mass(k, energy), onset=0.0)
    if rng.random() < 0.5:
        warping = float(rng.uniform(0.05, 0.3))
        band = WarpedBand(_mass(k * (1 - warping) ** 0.5, energy), 0.0, 6, warping)
    radius = float(rng.uniform(0.7, 1.8)) / k
    angle = float(rng.uniform(0, 60))
    strength = _strength(rng, _mass(k, energy))
    return band, energy, ClusterImpurity.trimer(radius, strength, angle, 0.5 * pixel_nm)


def _graphene_site(rng: np.random.Generator, pixel_nm: float) -> tuple[Band, float, Impurity]:
    """Draw a scatterer on either sublattice of graphene."""
    lattice = float(rng.uniform(5.0, 8.0)) * pixel_nm
    energy = float(rng.uniform(0.3, 1.4) * rng.choice([-1, 1]))
    return GrapheneBand(lattice_nm=lattice), energy, _point(rng, orbital=int(rng.integers(2)))


def _asymmetric_cluster(rng: np.random.Generator, pixel_nm: float) -> tuple[Band, float, Impurity]:
    """Draw two or three unequal scatterers on a parabola."""
    k, energy = _wave_number(rng, pixel_nm), 0.3
    band: Band = ParabolicBand(_mass(k, energy), onset=0.0)
    if rng.random() < 0.4:
        band = EllipticBand(_mass(k * float(rng.uniform(0.5, 0.9)), energy), _mass(k, energy), 0.0)
    centres = int(rng.integers(2, 4))
    radius = float(rng.uniform(0.7, 1.6)) / k
    base = _strength(rng, _mass(k, energy))
    strengths = base * np.array([1.0, *rng.uniform(-0.4, 0.4, centres - 1)])
    impurity = ClusterImpurity.polygon(
        centres, radius, strengths.tolist(), float(rng.uniform(0, 360)), 0.5 * pixel_nm
    )
    return band, energy, impurity


def _scattered_cluster(rng: np.random.Generator, pixel_nm: float) -> tuple[Band, float, Impurity]:
    """Draw two to four unequal scatterers, up to twenty pixels apart, on a parabola."""
    k, energy = _wave_number(rng, pixel_nm, smallest=0.3), 0.3
    centres = int(rng.integers(2, 5))
    radius = min(float(rng.uniform(1.6, 5.0)) / k, 10.0 * pixel_nm)
    angle = (
        rng.uniform(0, 2 * np.pi)
        + 2 * np.pi * (np.arange(centres) + rng.uniform(-0.3, 0.3, centres)) / centres
    )
    away = radius * rng.uniform(0.7, 1.0, centres)
    strengths = _strength(rng, _mass(k, energy)) * rng.uniform(0.3, 1.0, centres)
    places = tuple(
        zip((away * np.cos(angle)).tolist(), (away * np.sin(angle)).tolist(), strict=True)
    )
    impurity = ClusterImpurity(places, tuple(strengths.tolist()), 0.5 * pixel_nm)
    return ParabolicBand(_mass(k, energy), onset=0.0), energy, impurity


def _surface_state_pair(rng: np.random.Generator, pixel_nm: float) -> tuple[Band, float, Impurity]:
    """Draw two round parabolas with a phase shift each."""
    energy = 0.3
    first, second = (_mass(_wave_number(rng, pixel_nm), energy) for _ in range(2))
    ratio = float(rng.uniform(0.3, 1.5) * rng.choice([-1, 1]))
    return ParabolaPair(first, second, ratio=ratio), energy, _point(rng)


def _strength(rng: np.random.Generator, mass: float) -> float:
    """Draw a potential in eV nm^2, moderate to strong against 1/(pi rho_0) of a parabola."""
    density = mass / (4 * np.pi * HBAR2_OVER_2M)
    return float(rng.uniform(0.5, 4.0) * rng.choice([-1, 1]) / (np.pi * density))


BAND_FAMILIES = (
    BandFamily("free_electrons", ISOTROPIC, "parabolic surface state", _free_electrons),
    BandFamily("rashba", ISOTROPIC, "Rashba-split surface state", _rashba),
    BandFamily("surface_state_pair", ISOTROPIC, "two surface states", _surface_state_pair),
    BandFamily("elliptic", 2, "anisotropic parabola", _elliptic),
    BandFamily("warped_two_fold", 2, "two-fold warped parabola", _warped(2, 0.3, 0.7)),
    BandFamily("nematic_pockets", 2, "crossed hole and electron pockets", _nematic_pockets),
    BandFamily("trimer", 3, "three scatterers on a surface state", _trimer),
    BandFamily("trigonal_dirac", 3, "three scatterers on a warped Dirac cone", _trigonal_dirac),
    BandFamily(
        "graphene_site",
        3,
        "scatterer on one sublattice of graphene",
        _graphene_site,
        _LATTICE_TIP,
    ),
    BandFamily("warped_four_fold", 4, "four-fold warped parabola", _warped(4, 0.35, 0.6, 0.35)),
    BandFamily("square_lattice", 4, "square-lattice band", _square_lattice, _LATTICE_TIP),
    BandFamily("cuprate", 4, "d-wave superconductor", _cuprate, _LATTICE_TIP),
    BandFamily("warped_six_fold", 6, "six-fold warped parabola", _warped(6, 0.4, 0.65, 0.5)),
    BandFamily(
        "triangular_lattice", 6, "triangular-lattice band", _triangular_lattice, _LATTICE_TIP
    ),
    BandFamily("dichalcogenide", 6, "2H dichalcogenide barrel", _dichalcogenide, _LATTICE_TIP),
    BandFamily("warped_dirac", 6, "hexagonally warped Dirac cone", _warped_dirac),
    BandFamily("asymmetric_cluster", 1, "uneven cluster of scatterers", _asymmetric_cluster),
    BandFamily("scattered_cluster", 1, "scatterers far apart", _scattered_cluster),
)
"""All of them."""
