"""What a prior lacks is fitted to a few planes of a stack, and counts for all."""

from __future__ import annotations

import numpy as np
import pytest

from qpi_kernels import extract
from qpi_kernels.extraction.bayes.selection import prior_selection
from qpi_kernels.progress import Event
from shared.planted import friedel_rings, planted_map, with_noise

PLACES = np.random.default_rng(3).uniform(6, 74, (14, 2))


def stack(planes: int) -> np.ndarray:
    """Draw rings that disperse, each with noise of its own."""
    waves = np.linspace(0.6, 1.4, planes)
    rings = [friedel_rings(wave=wave, decay=4.0) for wave in waves]
    return np.stack(
        [
            with_noise(planted_map(one, PLACES, (80, 80)), 10.0, seed)
            for seed, one in enumerate(rings)
        ]
    )


def test_all_planes_have_the_prior_that_the_first_were_fitted_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    maps = stack(9)
    kernels, fits = [], []
    for together in (16, 4):
        monkeypatch.setattr(prior_selection, "_MAX_PLANES", together)
        events: list[Event] = []
        found = extract(maps, PLACES, kernel_shape=(21, 21), on_event=events.append)
        kernels.append(found.kernel.values)
        messages = [one.message for one in events]
        fits.append(sum("fitted" in one for one in dict.fromkeys(messages)))
    assert fits[0] == fits[1] >= 1
    size = np.sqrt(np.square(kernels[0]).mean())
    assert np.abs(kernels[0] - kernels[1]).max() < 1e-3 * size
