"""Dispersions E(k) to be fitted: parabola, Dirac cone, Rashba band, or any function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.inspect.dispersion.errors import DispersionError
from qpi_kernels.inspect.dispersion_choices import ROUND_MODELS, Waves
from qpi_kernels.simulate.bands.band import HBAR2_OVER_2M

__all__ = ["DispersionModel", "Waves", "dispersion_model"]

Array = NDArray[np.float64]

# Energies of a user's function are tabled so finely before a wave number is searched.
_TABLE_POINTS = 4001


@dataclass(frozen=True)
class DispersionModel:
    """A dispersion with named parameters.

    Parameters
    ----------
    name : str
        In reports.
    units : dict of str to str
        Parameters in their order, with units.
    wave_number : callable
        ``k(energy, damping, near, **parameters)``, all arrays of one shape: the wave number in
        rad/nm at energies in eV. `damping` is Im k of the waves, `near` the wave number that is
        expected, where a band has several.
    start : callable
        ``start(energy, k, weight, fixed)``: start values of all parameters.
    waves : tuple of str
        Kinds of waves that its states make, see `hankel.waves`: the kind that fits best is taken.
    exclusive : tuple of str
        Parameters of which the waves tell only one: the other must be known.
    """

    name: str
    units: Mapping[str, str]
    wave_number: Callable[..., Array]
    start: Callable[[Array, Array, Array, Mapping[str, float]], dict[str, float]]
    waves: tuple[Waves, ...] = ("scalar",)
    exclusive: tuple[str, ...] = field(default=())

    def velocity(self, energy: Array, damping: Array, near: Array, **values: float) -> Array:
        """Compute the group velocity dE/dk in eV nm at energies in eV."""
        step = 1e-4
        above, below = (
            self.wave_number(energy + sign * step, damping, near, **values) for sign in (1, -1)
        )
        slope = (above - below) / (2 * step)
        return np.asarray(1.0 / np.where(np.abs(slope) > 1e-9, slope, np.nan))


def dispersion_model(
    model: str | Callable[..., Any], initial: Mapping[str, float]
) -> DispersionModel:
    """Find a model by name, or make one of a function E(k, ...).

    Parameters
    ----------
    model : str or callable
        ``parabola``, ``dirac``, ``rashba``, or a function of k in rad/nm (an array) and of named
        parameters that returns energies in eV.
    initial : mapping
        Start values; a function's parameters take them from here or from their defaults.

    Raises
    ------
    DispersionError
        If there is no such model, or a function's parameter has no start value.
    """
    if callable(model):
        return _of_function(model, initial)
    known = {one.name: one for one in (_PARABOLA, _DIRAC, _RASHBA)}
    if model not in known:
        raise DispersionError(
            f"there is no round dispersion {model!r}: choose of {', '.join(known)}, or give a "
            "function of k (rad/nm) and its parameters that returns E in eV; elliptic and warped "
            'bands need method="synthesis"'
        )
    return known[model]


def _root(square: Array) -> Array:
    """Take the square root, continued below zero so that a fit finds back."""
    return np.asarray(np.sign(square) * np.sqrt(np.abs(square)))


def _parabola(energy: Array, damping: Array, near: Array, *, mass: float, onset: float) -> Array:
    """Solve ``E + i Im E = onset + hbar^2 (k + i damping)^2 / (2 mass m_e)`` for k."""
    return _root((energy - onset) * mass / HBAR2_OVER_2M + damping**2)


def _parabola_start(
    energy: Array, k: Array, weight: Array, fixed: Mapping[str, float]
) -> dict[str, float]:
    """Fit a straight line to k^2 over E."""
    slope, height = np.polyfit(energy, k**2, 1, w=weight / np.maximum(2 * k, 1e-3))
    slope = slope if abs(slope) > 1e-6 else 1e-6
    return {"mass": float(slope * HBAR2_OVER_2M), "onset": float(-height / slope)}


def _dirac(
    energy: Array, damping: Array, near: Array, *, velocity: float, dirac_point: float
) -> Array:
    """Solve ``E = dirac_point +- velocity k`` for k."""
    return np.asarray(np.abs(energy - dirac_point) / velocity)


def _dirac_start(
    energy: Array, k: Array, weight: Array, fixed: Mapping[str, float]
) -> dict[str, float]:
    """Try Dirac points inside and outside of the energies; the velocity is linear."""
    span = float(np.ptp(energy)) or 1.0
    best = (np.inf, 0.0, 1.0)
    for centre in np.linspace(energy.min() - 5 * span, energy.max() + 5 * span, 1101):
        distance = np.abs(energy - centre)
        slope = float((weight**2 * distance * k).sum() / (weight**2 * distance**2).sum())
        misfit = float(((weight * (k - slope * distance)) ** 2).sum())
        if slope > 0 and misfit < best[0]:
            best = (misfit, float(centre), 1 / slope)
    return {"velocity": best[2], "dirac_point": best[1]}


def _rashba(
    energy: Array, damping: Array, near: Array, *, mass: float, onset: float, alpha: float
) -> Array:
    """Solve ``E = onset + hbar^2 k^2/2m -+ alpha k`` for half the sum of both wave numbers.

    States of one branch do not scatter back into it, so a point scatterer's waves have
    ``q = k_1 + k_2``, which is a parabola from the band's minimum (Petersen and Hedegard, Surface
    Science 459, 49, 2000).
    """
    split = mass * alpha / (2 * HBAR2_OVER_2M)
    return _parabola(energy, damping, near, mass=mass, onset=onset - 0.5 * alpha * split)


def _rashba_start(
    energy: Array, k: Array, weight: Array, fixed: Mapping[str, float]
) -> dict[str, float]:
    """Start as a parabola from the band's minimum."""
    start = _parabola_start(energy, k, weight, fixed)
    mass, minimum = start["mass"], start["onset"]
    if "onset" in fixed:
        depth = max(fixed["onset"] - minimum, 1e-4)
        return start | {"alpha": float(np.sqrt(4 * HBAR2_OVER_2M * depth / abs(mass)))}
    alpha = fixed.get("alpha", 0.0)
    return {"mass": mass, "onset": minimum + mass * alpha**2 / (4 * HBAR2_OVER_2M), "alpha": alpha}


_PARABOLA = DispersionModel("parabola", ROUND_MODELS["parabola"], _parabola, _parabola_start)
_DIRAC = DispersionModel(
    "dirac", ROUND_MODELS["dirac"], _dirac, _dirac_start, waves=("scalar", "helical")
)
_RASHBA = DispersionModel(
    "rashba", ROUND_MODELS["rashba"], _rashba, _rashba_start, exclusive=("onset", "alpha")
)


def _of_function(function: Callable[..., Any], initial: Mapping[str, float]) -> DispersionModel:
    """Make a model of a function E(k, ...), which is inverted near the wave numbers measured."""
    _, *given = inspect.signature(function).parameters.values()
    starts = {one.name: float(one.default) for one in given if one.default is not one.empty}
    starts |= {name: float(value) for name, value in initial.items()}
    missing = [one.name for one in given if one.name not in starts]
    if missing or not given:
        raise DispersionError(
            f"the dispersion needs start values: give initial={{{missing[0]!r}: ...}}"
            if missing
            else "the dispersion must have parameters after k"
        )

    def wave_number(energy: Array, damping: Array, near: Array, **values: float) -> Array:
        """Search the table of E(k) for the crossing next to the wave number expected."""
        table = np.linspace(0.0, 2.0 * float(np.max(near)) + 0.1, _TABLE_POINTS)
        energies = np.asarray(function(table, **values), float)
        found = np.empty_like(near)
        for number, (at, expected) in enumerate(zip(energy, near, strict=True)):
            above = energies > at
            crossings = np.flatnonzero(above[1:] != above[:-1])
            if len(crossings):
                low = crossings[np.argmin(np.abs(table[crossings] - expected))]
                share = (at - energies[low]) / (energies[low + 1] - energies[low])
                found[number] = table[low] + share * (table[1] - table[0])
            else:
                found[number] = table[np.argmin(np.abs(energies - at))]
        return found

    return DispersionModel(
        getattr(function, "__name__", "function"),
        {one.name: "" for one in given},
        wave_number,
        lambda energy, k, weight, fixed: {one.name: starts[one.name] for one in given},
        waves=("scalar", "helical"),
    )
