"""Bands that `fit_dispersion` builds by name for the synthesis, and their start values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from qpi_kernels.inspect.dispersion.errors import DispersionError
from qpi_kernels.inspect.dispersion_choices import SYNTHESISED_MODELS
from qpi_kernels.simulate.bands.band import Band, RotatedBand
from qpi_kernels.simulate.bands.free_electrons import EllipticBand, ParabolicBand, WarpedBand
from qpi_kernels.simulate.bands.spin_orbit import DiracBand, RashbaBand

__all__ = ["BandModel", "band_model"]

Bounds = dict[str, tuple[float, float]]

_UNITS = {
    "mass": "m_e", "mass_x": "m_e", "mass_y": "m_e", "onset": "eV", "angle_deg": "deg",
    "velocity": "eV nm", "alpha": "eV nm", "splitting": "eV nm", "dirac_point": "eV",
    "centre": "eV", "shift": "eV", "hopping": "eV", "diagonal": "eV",
}  # fmt: skip
_SPREAD = 2.0


@dataclass(frozen=True)
class BandModel:
    """A band with named parameters.

    Parameters
    ----------
    name : str
        In reports.
    build : callable
        Makes a `Band` from the parameters, by name.
    units : dict of str to str
        Parameters in their order, with units.
    bounds : dict of str to (float, float)
        Where to search parameters without start value.
    isotropic : bool
        Whether ``mass`` and ``onset`` of a parabola through the angular mean help to begin.
    period_deg : float, optional
        Turned by so much the band is the same; an ellipse with its axes exchanged.
    """

    name: str
    build: Callable[..., Band]
    units: Mapping[str, str]
    bounds: Bounds
    isotropic: bool = False
    period_deg: float | None = None

    @property
    def defaults(self) -> tuple[str, ...]:
        """Parameters that the function need not be given."""
        parameters = inspect.signature(self.build).parameters.values()
        return tuple(one.name for one in parameters if one.default is not one.empty)

    def canonical(self, values: dict[str, float]) -> tuple[dict[str, float], dict[str, str]]:
        """Choose one of the sets of parameters that mean the same band, with the smallest angle.

        Returns
        -------
        values : dict
            The parameters.
        named : dict of str to str
            Under which other name a parameter was fitted.
        """
        if self.period_deg is None:
            return values, {}
        turns = round(values["angle_deg"] / self.period_deg)
        turned = {**values, "angle_deg": values["angle_deg"] - turns * self.period_deg}
        if "mass_x" in values and turns % 2:
            named = {"mass_x": "mass_y", "mass_y": "mass_x"}
            return {**turned, **{new: values[old] for new, old in named.items()}}, named
        return turned, {}

    def around(self, mass: float, onset: float, energies: tuple[float, float]) -> Bounds:
        """Bound the parameters about those of a parabola through the angular mean."""
        depth = max(abs(energies[0] - onset), abs(energies[1] - onset)) / 5
        bounds = dict(self.bounds)
        for name in self.units:
            if name in ("mass_x", "mass_y"):
                bounds[name] = _between(mass / _SPREAD, mass * _SPREAD)
            elif name == "mass":
                bounds[name] = _between(mass / 1.2, mass * 1.2)
            elif name == "onset":
                bounds[name] = (onset - depth, onset + depth)
        return bounds


def band_model(model: str | Callable[..., Any]) -> BandModel:
    """Find a band by name, or take a function that builds one.

    Parameters
    ----------
    model : str or callable
        ``parabola``, ``elliptic``, ``warped``, ``dirac``, ``rashba``, or a callable that makes a
        `simulate.Band` from numbers, by name, such as the class of a band.

    Raises
    ------
    DispersionError
        If there is no such model.
    """
    if callable(model):
        return BandModel(getattr(model, "__name__", "function"), model, _units(model), {})
    if model not in _MODELS:
        raise DispersionError(
            f"there is no band {model!r} for the synthesis: choose of {', '.join(_MODELS)}, or "
            "give a function that returns a band of qpi_kernels.simulate"
        )
    return _MODELS[model]


def _parabola(mass: float, onset: float) -> Band:
    """Build a round parabola."""
    return ParabolicBand(mass, onset)


def _elliptic(mass_x: float, mass_y: float, onset: float, angle_deg: float) -> Band:
    """Build an ellipse whose x axis is turned anticlockwise as seen."""
    return RotatedBand(EllipticBand(mass_x, mass_y, onset), -angle_deg)


def _warped(mass: float, onset: float, warping: float, angle_deg: float) -> Band:
    """Build a six-fold contour, a corner of which is turned anticlockwise as seen."""
    return RotatedBand(WarpedBand(mass, onset, 6, warping), -angle_deg)


def _dirac(velocity: float, warping: float, dirac_point: float, angle_deg: float) -> Band:
    """Build a hexagonally warped Dirac cone, turned anticlockwise as seen."""
    return RotatedBand(DiracBand(velocity, warping, dirac_point), -angle_deg)


def _rashba(mass: float, onset: float, alpha: float) -> Band:
    """Build a Rashba-split parabola."""
    return RashbaBand(mass, onset, alpha)


def _between(one: float, other: float) -> tuple[float, float]:
    """Order two limits: masses of holes are negative."""
    return min(one, other), max(one, other)


def _units(build: Callable[..., Any]) -> dict[str, str]:
    """List the parameters of a function with their units, as far as the names tell them."""
    return {name: _UNITS.get(name, "") for name in inspect.signature(build).parameters}


_MODELS = {
    one.name: one
    for one in (
        BandModel("parabola", _parabola, SYNTHESISED_MODELS["parabola"], {}, isotropic=True),
        BandModel(
            "elliptic", _elliptic, SYNTHESISED_MODELS["elliptic"], {"angle_deg": (-45.0, 45.0)},
            isotropic=True, period_deg=90.0,
        ),
        BandModel(
            "warped", _warped, SYNTHESISED_MODELS["warped"],
            {"warping": (0.02, 0.4), "angle_deg": (-30.0, 30.0)}, isotropic=True, period_deg=60.0,
        ),
        BandModel(
            "dirac", _dirac, SYNTHESISED_MODELS["dirac"], {"angle_deg": (-30.0, 30.0)},
            period_deg=60.0,
        ),
        BandModel("rashba", _rashba, SYNTHESISED_MODELS["rashba"], {}),
    )
}  # fmt: skip
