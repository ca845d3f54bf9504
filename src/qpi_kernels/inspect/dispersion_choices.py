"""Methods and models of `fit_dispersion`, without the imports that fits need."""

from __future__ import annotations

from typing import Literal

__all__ = ["METHODS", "ROUND_MODELS", "SYNTHESISED_MODELS", "Method", "Waves"]

Method = Literal["hankel", "synthesis", "ring"]
"""How wave numbers are read from a kernel."""

METHODS: tuple[Method, ...] = ("hankel", "synthesis", "ring")

Waves = Literal["scalar", "helical", "integrated"]
"""Kinds of waves that the states of a band make."""

ROUND_MODELS = ("parabola", "dirac", "rashba")
"""Models with a wave number at each energy, for every method."""

SYNTHESISED_MODELS = ("parabola", "elliptic", "warped", "dirac", "rashba")
"""Models of which kernels are simulated, for ``method="synthesis"``."""
