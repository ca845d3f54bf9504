"""Errors of the benchmark's scores: zero for the truth, known for what is wrong in a known way."""

from __future__ import annotations

import numpy as np
import pytest

from qpi_kernels.bench.inspect.problems import (
    correlation_map,
    cut_map,
    lattice_map,
    ring_map,
    round_map,
    symmetric_map,
    wave_map,
)
from qpi_kernels.bench.inspect.scores import measured_error
from qpi_kernels.bench.peers import Way

SHAPE = (48, 40)


def error(task, problem, answer):
    return measured_error(Way("tool", "way", task, answer), problem)


def test_amplitude_and_wave_number() -> None:
    wave = wave_map(SHAPE, True, 0)
    assert error("amplitude", wave, lambda one: np.asarray(one.amplitude)) == 0
    assert error("amplitude", wave, lambda one: np.asarray(0.9 * one.amplitude)) == pytest.approx(
        10
    )
    beside = np.asarray(wave.number + 0.5 * wave.step)
    assert error("wave", wave, lambda one: beside) == pytest.approx(50)
    assert wave.raw.std() == pytest.approx(wave.amplitude / np.sqrt(2))


def test_cuts_and_profiles() -> None:
    cut = cut_map(SHAPE, 0)
    line = np.linspace(cut.start, cut.stop, 60)

    def along(factor):
        values = factor * cut.truth(line[:, 0], line[:, 1])
        return lambda one: np.column_stack([line, values])

    assert error("cut", cut, along(1.0)) == 0
    assert error("cut", cut, along(0.97)) == pytest.approx(3)
    disc = round_map(SHAPE, 0)
    radius = np.arange(17.0)
    off = np.column_stack([radius, disc.truth(radius) + 0.02])
    assert error("round", disc, lambda one: off) == pytest.approx(2)
    assert disc.raw[24, 20] == 1
    rings = ring_map(SHAPE, 0)
    q = np.linspace(0, 2, 50)
    profile = np.exp(-((q - 0.9) ** 2) / 0.02)

    def lifted(one):
        return np.column_stack([q, profile + (0.05 if one.raw is rings.raw else 0.0)])

    assert error("ring", rings, lifted) == pytest.approx(5, rel=0.01)
    assert (rings.raw - rings.clean).std() == pytest.approx(rings.sigma, rel=0.1)


def test_images_and_lattices() -> None:
    pairs = correlation_map(SHAPE, True, 0)
    assert np.isnan(pairs.raw).any()
    assert error("correlation", pairs, lambda one: one.truth) == 0
    assert error("correlation", pairs, lambda one: one.truth + 0.1) == pytest.approx(10)
    spots = symmetric_map((32, 32), 0)
    turned = np.roll(np.rot90(spots.raw), 1, axis=0)  # about n // 2
    np.testing.assert_allclose(turned[1:, 1:], spots.raw[1:, 1:], atol=1e-12)
    assert error("symmetry", spots, lambda one: 1.1 * one.raw) == pytest.approx(10)
    atoms = lattice_map(SHAPE, True, 0)
    assert atoms.waves.shape == (6, 2)
    assert error("lattice", atoms, lambda one: one.waves) == 0
    moved = atoms.waves + np.array([0.0, 0.2 * 2 * np.pi / 48])
    assert error("lattice", atoms, lambda one: moved) == pytest.approx(20)
