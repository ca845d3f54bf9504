"""Simulated grids of surface states whose band, lifetime and phase shift are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from qpi_kernels.defects import Defects
from qpi_kernels.simulate import (
    EnergyResolution,
    ParabolicBand,
    PhaseShiftImpurity,
    SetPoint,
    observe,
    scatter_defects,
    single_defect,
)

__all__ = ["GROUPS", "PHASES", "Grid", "grids"]

PHASES = (-0.6, 0.785, 1.4)
_SEEDS = 3
_BIASES, _SIDE_PX, _DEFECTS, _SPACING_PX = 11, 128, 25, 8


@dataclass(frozen=True)
class Grid:
    """A grid to be measured.

    Parameters
    ----------
    group : str
        Of `GROUPS`.
    band : ParabolicBand
        The surface state.
    biases : (float, float)
        First and last bias in V, of 11.
    pixel_nm, tip_nm : float
        Pixel pitch, and width of tip and orbitals.
    width : float
        Half-width of the states in eV, the self-energy to be found.
    phase : float
        Phase shift of the scatterers in rad.
    seed : int
        Of places and noise.
    resolution, setpoint
        Of the instrument, and told to the fit.
    """

    group: str
    band: ParabolicBand
    biases: tuple[float, float]
    pixel_nm: float
    tip_nm: float
    width: float
    phase: float = PHASES[0]
    seed: int = 0
    resolution: EnergyResolution | None = None
    setpoint: SetPoint | None = None

    @property
    def name(self) -> str:
        """Phase and seed, for a table."""
        return f"phase {self.phase:+.2f}, seed {self.seed}"

    def draw(self) -> tuple[xr.DataArray, Defects]:
        """Simulate the grid: 11 maps of 128 x 128 pixels, 25 defects, noise as strong as signal.

        Waves reach as far as the map does; there is no multiple scattering.
        """
        shape = (_SIDE_PX, _SIDE_PX)
        kernel = single_defect(
            self.band,
            bias=np.linspace(*self.biases, _BIASES),
            pixel_nm=self.pixel_nm,
            shape=(_SIDE_PX + 1, _SIDE_PX + 1),
            impurity=PhaseShiftImpurity(self.phase),
            broadening=self.width,
            tip_nm=self.tip_nm,
            resolution=self.resolution,
            setpoint=self.setpoint,
        )
        defects = scatter_defects(_DEFECTS, shape, seed=self.seed, min_distance_px=_SPACING_PX)
        clean = observe(kernel, defects, shape)
        random = np.random.default_rng([self.seed, 17])
        noise = clean.copy(data=random.standard_normal(clean.shape))
        return clean + clean.std(("y", "x")) * noise, defects


_SILVER = Grid("Ag(111)", ParabolicBand.silver(), (-0.04, 0.16), 0.5, 0.3, 0.006)
_COPPER = Grid("Cu(111)", ParabolicBand.copper(), (-0.3, 0.3), 0.2, 0.1, 0.03)
_COLD = EnergyResolution(temperature_K=4.2, modulation_V=0.005)
_CASES = (
    _SILVER,
    _COPPER,
    replace(_SILVER, group="Ag(111), 5 mV modulation", resolution=_COLD),
    replace(_SILVER, group="Ag(111), set-point 0.2 V", setpoint=SetPoint(0.2)),
    replace(_COPPER, group="Cu(111), set-point 0.5 V", setpoint=SetPoint(0.5)),
)
GROUPS = tuple(case.group for case in _CASES)


def grids(group: str, quick: bool) -> Iterator[Grid]:
    """List the grids of a group: all phases and seeds (with instrument one seed), or one grid."""
    case = next(one for one in _CASES if one.group == group)
    plain = case.resolution is None and case.setpoint is None
    for phase in PHASES[:1] if quick else PHASES:
        for seed in range(_SEEDS if plain and not quick else 1):
            yield replace(case, phase=phase, seed=seed)
