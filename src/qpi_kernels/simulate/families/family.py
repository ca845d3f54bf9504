"""`Family`: a named kind of kernels, with all that is drawn at random; and its `Recipe`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from qpi_kernels.simulate.bands import Band
from qpi_kernels.simulate.scattering.defect_core import CoreShape
from qpi_kernels.simulate.scattering.impurities import Impurity
from qpi_kernels.simulate.scattering.site_impurity import SiteImpurity

__all__ = ["ISOTROPIC", "Family", "Recipe", "draw_core", "draw_damping"]

ISOTROPIC = 0
"""The fold of kernels that are the same under every rotation."""

_WINDOW_PX = 64.0


@dataclass(frozen=True)
class Recipe:
    """All that makes one kernel: the arguments of `single_defect` or, of a crystal, `site_density`.

    Parameters
    ----------
    family : str
        Name of its family.
    fold : int
        Rotations by 360/fold degrees leave the kernel as it is; `ISOTROPIC` for all rotations, 1
        for none.
    band, bias, impurity, broadening, tip_nm, core
        As for the function; one bias, in V.
    """

    family: str
    fold: int
    band: Band
    bias: float
    impurity: Impurity | SiteImpurity
    broadening: float
    tip_nm: float
    core: CoreShape | None = None


class Family(Protocol):
    """A named kind of kernels."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def fold(self) -> int:
        """Symmetry of all its kernels; see `Recipe`."""
        ...

    @property
    def describe(self) -> str:
        """One line for display."""
        ...

    @property
    def band_limited(self) -> bool:
        """True if pixels sample all its kernels well enough to shift them by half a pixel."""
        ...

    def recipe(self, rng: np.random.Generator, pixel_nm: float) -> Recipe:
        """Draw a kernel's recipe for a pixel size in nm."""
        ...

    def variant(self, rng: np.random.Generator, recipe: Recipe, pixel_nm: float) -> Recipe:
        """Draw another scattering strength and core for a recipe of this family."""
        ...


def draw_damping(rng: np.random.Generator, pixel_nm: float) -> float:
    """Draw Im k in 1/nm: densities decay by exp(-1.2) to exp(-4.4) from the centre to the edge."""
    return float(np.exp(rng.uniform(np.log(0.6), np.log(2.2))) / (_WINDOW_PX / 2 * pixel_nm))


def draw_core(
    rng: np.random.Generator, unit_nm: float, fold: int, angle_deg: float
) -> CoreShape | None:
    """Draw the core of a defect, for a third of the kernels; lengths are about a unit."""
    if rng.random() > 0.35:
        return None
    lobed = fold > 1 and rng.random() < 0.5
    angle = angle_deg if fold == 3 else angle_deg + 90.0 * float(rng.integers(2))
    return CoreShape(
        amplitude=float(rng.choice([-1, 1]) * rng.uniform(0.2, 1.0)),
        width_nm=float(rng.uniform(1.2, 1.8) * unit_nm),
        ring_nm=float(rng.choice([0.0, rng.uniform(1.0, 2.5) * unit_nm])),
        fold=fold if lobed else 0,
        lobes=float(rng.uniform(0.3, 1.0)) if lobed else 0.0,
        angle_deg=angle,
    )
