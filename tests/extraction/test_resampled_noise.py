"""Noise that the preparation interpolated: errors, chi-squared and trust stay right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from qpi_kernels import KernelResult, extract
from qpi_kernels.prepare import Prepared
from qpi_kernels.prepare.geometry.frame import Frame
from qpi_kernels.prepare.geometry.resampling import resample
from shared.levelled_maps import wave

SIDE, WINDOW = 112, (27, 27)


def lopsided(rows: Any, cols: Any) -> Any:
    """Evaluate rings and a wave without the symmetries that a prior expects."""
    envelope = np.exp(-(np.square(rows) + np.square(cols)) / 36)
    return wave(rows, cols) + 0.3 * np.cos(0.8 * cols + 0.3 * rows + 0.3) * envelope


def true_kernel() -> Any:
    rows, cols = np.indices(WINDOW) - np.array(WINDOW)[:, None, None] // 2
    return lopsided(rows, cols)


def moves() -> dict[str, tuple[Frame, Any]]:
    row, col = np.indices((SIDE, SIDE), float)
    angle = np.radians(20.0)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    straight = Frame((SIDE, SIDE), np.eye(2), np.zeros(2))
    drift = 1.5 * np.stack([np.sin(row / 18) * np.cos(col / 18), np.cos(row / 25 + col / 18)])
    return {
        "drift": (straight, drift),
        "half a pixel": (straight, np.full((2, SIDE, SIDE), 0.5)),
        "turned": (Frame.about_centre((SIDE, SIDE), (SIDE, SIDE), matrix), None),
    }


def observe(seed: int, move: str, snr: float) -> tuple[Prepared, Any, float]:
    """Return waves as they are in noise that was interpolated, and the noise's rms before."""
    rng = np.random.default_rng(seed)
    row, col = np.indices((SIDE, SIDE), float)
    positions = rng.uniform(5, SIDE - 6, (28, 2))
    clean = np.sum([lopsided(row - at[0], col - at[1]) for at in positions], axis=0)
    sigma = float(clean.std()) / snr**0.5
    noise = Prepared.start(xr.DataArray(sigma * rng.standard_normal(clean.shape), dims=("y", "x")))
    moved = resample(noise, *moves()[move])
    return replace(moved, image=moved.image + clean), positions, sigma


def mean_score(results: list[KernelResult]) -> float:
    return float(
        np.mean([np.square((one.kernel - true_kernel()) / one.std).mean() for one in results])
    )


def codes(result: KernelResult) -> set[str]:
    return {reason.code for reason in result.quality.reasons}


@pytest.mark.parametrize("move", ["drift", "half a pixel", "turned"])
def test_least_squares(move: str) -> None:
    results = []
    for seed in range(3):
        image, positions, sigma = observe(seed, move, snr=3.0)
        found = extract(image, positions, kernel_shape=WINDOW, method="least_squares")
        results.append(found)
        noise = resample(
            Prepared.start(np.random.default_rng(9).normal(size=(SIDE, SIDE))), *moves()[move]
        )
        left = float(noise.image.values[noise.mask].std())
        assert left < 0.95
        assert found.quality.noise_sigma[0] == pytest.approx(left * sigma, rel=0.05)
        assert found.quality.reduced_chi2[0] == pytest.approx(1.0, abs=0.08)
        assert found.quality.trust == "good"
        assert "resampled_noise" in codes(found)
    assert 0.8 < mean_score(results) < 1.25


def test_the_same_map_without_its_history_looks_structured() -> None:
    image, positions, _ = observe(0, "turned", snr=3.0)
    found = extract(
        image.image, positions, mask=image.mask, kernel_shape=WINDOW, method="least_squares"
    )
    assert "residual_structure" in codes(found)


@pytest.mark.parametrize("move", ["drift", "half a pixel"])
def test_bayes(move: str) -> None:
    image, positions, _ = observe(0, move, snr=3.0)
    found = extract(image, positions, kernel_shape=WINDOW)
    assert "resampled_noise" in codes(found)
    assert not {"coloured_noise", "residual_structure", "residual_excess"} & codes(found)
    assert found.quality.trust == "good"
    assert found.provenance["priors"][0]["noise"]["strongest_over_faintest"] > 3
    assert 0.5 < mean_score([found]) < 1.5


@pytest.mark.slow
@pytest.mark.parametrize("snr", [1.0, 10.0])
@pytest.mark.parametrize("move", ["drift", "half a pixel", "turned"])
def test_bayes_covers_at_the_nominal_rate(move: str, snr: float) -> None:
    inside: dict[float, list[Any]] = {1.0: [], 2.0: []}
    for seed in range(4):
        image, positions, _ = observe(seed, move, snr)
        found = extract(image, positions, kernel_shape=WINDOW)
        error = np.abs(found.kernel.values - true_kernel())
        for width, all_inside in inside.items():
            all_inside.append(error < width * found.std.values)
    assert 0.6 < np.mean(inside[1.0]) < 0.82
    assert 0.92 < np.mean(inside[2.0]) < 0.99


def test_other_structure_is_still_noticed() -> None:
    """A wave that no defect made, in interpolated noise."""
    image, positions, sigma = observe(1, "half a pixel", snr=3.0)
    stripes = 1.5 * sigma * np.cos(0.7 * np.arange(SIDE))
    striped = replace(image, image=image.image + xr.DataArray(stripes, dims="x"))
    found = extract(striped, positions, kernel_shape=WINDOW, method="least_squares")
    assert "residual_structure" in codes(found)
    assert found.quality.trust == "uncertain"
