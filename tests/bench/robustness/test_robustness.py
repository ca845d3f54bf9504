"""Maps on which the sum of kernels is wrong: their physics, and how they are scored."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qpi_kernels.bench.robustness import maps
from qpi_kernels.bench.robustness.maps import (
    ALIKE,
    STRONG,
    coupled_map,
    displaced_map,
    mixed_map,
    plain_map,
    step_map,
    step_waves,
)
from qpi_kernels.bench.robustness.scores import (
    ROBUSTNESS_CASES,
    map_scores,
    robustness_scores,
)
from qpi_kernels.forward import ForwardModel
from qpi_kernels.simulate.bands import HBAR2_OVER_2M

CLEAN = 1e12


def test_weak_defects_add_up_as_the_forward_model_says() -> None:
    found = coupled_map(0, impurity=1e-4, snr=CLEAN)
    kernel = maps._single(1e-4, 2 * maps.SIDE_PX - 1).values
    model = ForwardModel(found.marked, found.observation.shape, kernel.shape)
    expected = model.apply(torch.from_numpy(kernel)[None]).numpy()
    np.testing.assert_allclose(found.observation, expected, atol=2e-3 * np.abs(expected).max())


def test_multiple_scattering_is_of_second_order() -> None:
    one, two = (coupled_map(0, impurity=potential).left_out for potential in (1e-4, 2e-4))
    assert two == pytest.approx(2 * one, rel=0.02)
    sparse, dense = (coupled_map(0, count=count).left_out for count in (20, 60))
    assert 0.1 < sparse < dense < 1


def test_a_hard_wall_leaves_no_density_at_it_and_waves_of_half_the_wavelength() -> None:
    silver = maps.SILVER
    wave_number = silver.wave_number(maps.BIAS_V).real
    # The free density of states per spin, broadened at its onset and seen by the tip.
    above = (maps.BIAS_V - silver.onset) / maps.BROADENING_EV
    density = silver.mass / (4 * np.pi * HBAR2_OVER_2M) * (0.5 + np.arctan(above) / np.pi)
    density *= np.exp(-((wave_number * maps.TIP_NM) ** 2))
    distance = np.arange(0.0, 20.0, 0.01)[None]
    waves = step_waves(distance)[0]
    assert waves[0] == pytest.approx(-density, rel=0.03)
    crests = np.flatnonzero((waves[1:-1] > waves[:-2]) & (waves[1:-1] > waves[2:]))
    apart = np.diff(distance[0, crests])
    np.testing.assert_allclose(apart, np.pi / wave_number, rtol=0.03)


def test_a_mask_leaves_out_the_step_or_a_terrace() -> None:
    whole, cut, half = (
        step_map(0),
        step_map(0, masked_nm=3),
        step_map(0, masked_nm=3, jump=10, one_terrace=True),
    )
    assert whole.counted.all()
    assert 0 < (~cut.counted).mean() < 0.3
    assert (half.counted <= cut.counted).all()
    assert 0.4 < half.counted.mean() < cut.counted.mean()
    assert half.left_out < cut.left_out + 0.1 < whole.left_out
    assert half.counted[tuple(np.rint(half.marked.positions).astype(int).T)].mean() > 0.7


def test_creep_is_as_large_as_asked_and_moves_no_kernel() -> None:
    true, bent = plain_map(3).marked, displaced_map(3, rms_px=0.7).marked
    moved = bent.positions - true.positions
    assert np.sqrt((moved**2).sum(axis=1).mean()) == pytest.approx(0.7)
    np.testing.assert_allclose(moved.mean(axis=0), 0, atol=1e-12)
    assert displaced_map(3, rms_px=0.0).left_out == pytest.approx(0, abs=1e-12)


def test_kinds_are_told_apart_only_when_labelled() -> None:
    one = mixed_map(0, second=ALIKE, others=5)
    two = mixed_map(0, second=ALIKE, others=5, labelled=True)
    np.testing.assert_array_equal(one.observation, two.observation)
    assert one.marked.kinds == ("defect",)
    assert two.marked.counts() == {"first": 15, "second": 5}
    assert two.left_out == 0 < one.left_out
    assert mixed_map(0, second=STRONG, others=5).left_out == pytest.approx(0, abs=1e-12)


def test_scores_show_what_a_wrong_label_costs() -> None:
    cases = {one.name: one for one in ROBUSTNESS_CASES["unlabelled kinds"]}
    wrong, right = (
        robustness_scores([map_scores(cases[f"10 + 10 unlike, {labels}"], 0)])
        for labels in ("one label", "two labels")
    )
    assert list(wrong.nrmse) == ["average", "least_squares", "two_step", "bayes"]
    assert list(right.nrmse) == ["average", "least_squares", "bayes"]
    assert wrong.nrmse["bayes"] > 5 * right.nrmse["bayes"]
    assert (wrong.maps, wrong.doubted, right.doubted) == (1, 1, 0)
    assert wrong.chi2 > 2 > 1.2 > right.chi2
    assert wrong.told == {"second_kind": 1}
