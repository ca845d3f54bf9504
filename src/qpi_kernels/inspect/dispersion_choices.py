"""Methods and models of `fit_dispersion`, without the imports that fits need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

__all__ = [
    "METHODS",
    "ROUND_MODELS",
    "SYNTHESISED_MODELS",
    "Method",
    "Waves",
    "parameters_of",
]

Method = Literal["hankel", "synthesis", "ring"]
"""Ways to read wave numbers from a kernel."""

METHODS: tuple[Method, ...] = ("hankel", "synthesis", "ring")

Waves = Literal["scalar", "helical", "integrated"]
"""Kinds of waves that the states of a band make."""

ROUND_MODELS: Mapping[str, Mapping[str, str]] = {
    "parabola": {"mass": "m_e", "onset": "eV"},
    "dirac": {"velocity": "eV nm", "dirac_point": "eV"},
    "rashba": {"mass": "m_e", "onset": "eV", "alpha": "eV nm"},
}
"""Models with a wave number at each energy, for every method: parameters in order, with units."""

SYNTHESISED_MODELS: Mapping[str, Mapping[str, str]] = {
    "parabola": {"mass": "m_e", "onset": "eV"},
    "elliptic": {"mass_x": "m_e", "mass_y": "m_e", "onset": "eV", "angle_deg": "deg"},
    "warped": {"mass": "m_e", "onset": "eV", "warping": "", "angle_deg": "deg"},
    "dirac": {
        "velocity": "eV nm", "warping": "eV nm^3", "dirac_point": "eV", "angle_deg": "deg",
    },
    "rashba": {"mass": "m_e", "onset": "eV", "alpha": "eV nm"},
}  # fmt: skip
"""Models of which kernels are simulated, for ``method="synthesis"``, likewise."""


def parameters_of(model: str, method: str) -> Mapping[str, str]:
    """List the parameters of a model by a method with their units; none of an unknown one."""
    models = SYNTHESISED_MODELS if method == "synthesis" else ROUND_MODELS
    return models.get(model, {})
