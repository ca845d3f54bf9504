"""Errors that a prior correlates: smooth, even noise that a Gaussian filter draws."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter

from qpi_kernels.inspect import (
    InspectionError,
    antisymmetrised,
    phase_referenced,
    symmetry_scores,
)
from qpi_kernels.inspect.error_correlation import error_correlation

SIDE, PITCH, WIDTH_PX = 31, 0.4, 1.3
BIASES = np.array([-0.02, -0.01, 0.01, 0.02])


def errors(count, *, evenness, seed):
    """Draw smooth errors, a share of them even, of a standard deviation that falls outwards."""
    rng = np.random.default_rng(seed)
    field = gaussian_filter(
        rng.standard_normal((count, len(BIASES), SIDE, SIDE)), (0, 0, WIDTH_PX, WIDTH_PX),
        mode="wrap",
    )  # fmt: skip
    other = field[..., ::-1, ::-1]
    share = np.arcsin(evenness) / 2
    field = np.cos(share) * field + np.sin(share) * other
    field *= 2 * np.sqrt(np.pi) * WIDTH_PX
    axis = (np.arange(SIDE) - SIDE // 2) * PITCH
    std = 0.1 + 0.2 * np.exp(-np.hypot(axis[:, None], axis) / 4)
    coords = {
        "bias": ("bias", BIASES, {"units": "V"}),
        "y": ("y", axis, {"units": "nm"}),
        "x": ("x", axis, {"units": "nm"}),
    }
    draws = xr.DataArray(field * std, dims=("draw", "bias", "y", "x"), coords=coords)
    return draws, xr.zeros_like(draws[0]) + std


@pytest.mark.parametrize(("evenness", "padding"), [(0.0, 1), (0.8, 2), (0.8, 3)])
def test_errors_of_a_transform_are_those_of_correlated_pixels(evenness, padding):
    draws, std = errors(8, evenness=evenness, seed=0)
    many, _ = errors(60, evenness=evenness, seed=1)
    told = phase_referenced(std * 0, std=std, draws=draws, padding=padding)
    found = phase_referenced(many, padding=padding)
    q = np.hypot(told["q_y"], told["q_x"])
    ring = ((q > 0.5) & (q < 1.8)).values
    for name in ("real_part", "imaginary_part"):
        true = found[name].std(("draw", "bias")).values[ring].mean()
        assert told[f"{name}_std"].values[:, ring].mean() == pytest.approx(true, rel=0.15)
    independent = phase_referenced(std * 0, std=std, padding=padding)["real_part_std"]
    assert (told["real_part_std"] > 2 * independent).values[:, ring].all()
    # Where a prior leaves no power, errors are not told smaller than those of independent pixels.
    assert (told["real_part_std"] >= 0.99 * independent).all()


@pytest.mark.parametrize("evenness", [0.0, 0.8])
def test_errors_of_an_antisymmetrised_sum_are_those_of_correlated_pixels(evenness):
    draws, std = errors(8, evenness=evenness, seed=0)
    many, _ = errors(300, evenness=evenness, seed=1)
    told = antisymmetrised(std * 0, (0.5, 1.5), std=std, draws=draws)["std"].values
    values = antisymmetrised(many.rename(draw="kind"), (0.5, 1.5))["value"].values
    np.testing.assert_allclose(told, np.std(values, axis=0), rtol=0.2)
    independent = antisymmetrised(std * 0, (0.5, 1.5), std=std)["std"].values
    assert (told > 2 * independent).all()


def test_an_even_error_is_no_symmetry_of_the_kernel():
    draws, std = errors(8, evenness=0.95, seed=0)
    noise = errors(1, evenness=0.95, seed=5)[0][0]
    independent, known = (
        symmetry_scores(noise, std=std, mirrors_deg=(), draws=one) for one in (None, draws)
    )
    assert independent.score["C2"] > independent.chance["C2"] + 10 * independent.chance_std["C2"]
    assert known.chance["C2"] == pytest.approx(0.95, abs=0.03)
    assert not known.supported["C2"]
    assert known.draws == independent.draws == 64


def test_a_symmetry_far_above_even_errors_is_supported():
    draws, std = errors(8, evenness=0.95, seed=0)
    noise = errors(1, evenness=0.95, seed=5)[0][0]
    y, x = xr.broadcast(noise["y"], noise["x"])
    even = np.exp(-np.hypot(y, x) / 3) * np.cos(2 * np.hypot(x, 0.6 * y))
    odd = np.exp(-np.hypot(y, x) / 3) * np.sin(2 * x + y)
    for kernel, supported in ((even, True), (odd, False)):
        found = symmetry_scores(noise + 5 * kernel, std=std, mirrors_deg=(), draws=draws)
        assert found.chance["C2"] + 3 * found.chance_std["C2"] > 0.95
        assert found.supported["C2"] == supported
        assert not found.supported["C4"]


@pytest.mark.parametrize(("shared", "told"), [(0.0, 0.092), (1.0, 0.169)])
def test_biases_that_err_alike_are_symmetric_by_chance_as_one_is(shared, told):
    """Scores of 300 other noises had these standard deviations."""
    draws, std = errors(8, evenness=0.0, seed=0)
    draws = (1 - shared) * draws + shared * draws[:, :1].values
    found = symmetry_scores(draws[0], std=std, mirrors_deg=(), draws=draws)
    assert found.chance_std["C2"] == pytest.approx(told, rel=0.3)


def test_white_draws_are_independent_pixels_and_others_are_refused():
    rng = np.random.default_rng(3)
    draws, std = errors(8, evenness=0.0, seed=0)
    white = draws.copy(data=rng.standard_normal(draws.shape))
    found = error_correlation(white, std * 0 + 1)
    assert np.abs(found.power - 1).max() < 0.6
    assert abs(float(found.even.ravel()[0])) < 0.03
    for call in (phase_referenced, symmetry_scores):
        with pytest.raises(InspectionError, match="draws have the"):
            call(std, std=std, draws=draws[..., 1:])
