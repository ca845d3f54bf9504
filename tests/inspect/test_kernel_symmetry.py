"""Symmetry scores: what noise scores by chance, and what it leaves of a symmetric kernel."""

import matplotlib.figure
import numpy as np
import pytest
import xarray as xr

from qpi_kernels.inspect import InspectionError, symmetry_scores


def kernel_of(values):
    dims = ("kind", "bias", "y", "x")[-values.ndim :]
    coords = {
        axis: (axis, (np.arange(size) - size // 2) * 0.2, {"units": "nm"})
        for axis, size in zip(("y", "x"), values.shape[-2:], strict=True)
    }
    return xr.DataArray(values, dims=dims, coords=coords)


def polar(size):
    axis = np.arange(size) - size // 2
    return np.hypot(axis[:, None], axis), np.arctan2(-axis[:, None], axis)


def waves(size, fold, angle_deg=0.0, mirrored=True):
    """Make waves with as many lobes, whose mirror lines lie at an angle unless they spiral."""
    radius, angle = polar(size)
    phase = fold * (angle - np.deg2rad(angle_deg)) + (0.0 if mirrored else 0.4 * radius)
    return np.exp(-radius / 6) * (np.cos(0.9 * radius) + np.tanh(radius / 3) * np.cos(phase))


def test_a_symmetric_kernel_reaches_what_its_noise_allows():
    rng = np.random.default_rng(0)
    clean = waves(31, 4)
    std = np.full(clean.shape, 0.5 * clean.std())
    names = ("C2", "C4", "m 0", "m 45", "m 90", "m 135")
    away = []
    for _ in range(20):
        noisy = kernel_of(clean + std * rng.normal(size=clean.shape))
        found = symmetry_scores(noisy, std=kernel_of(std), mirrors_deg=(0, 30, 45, 90, 135))
        away += [(found.score[n] - found.reachable[n]) / found.reachable_std[n] for n in names]
        assert found.score["C4"] < 0.95
        assert not found.supported["C3"]
        assert not found.supported["m 30"]
    assert np.mean(np.abs(away) < 2) > 0.85
    assert abs(np.mean(away)) < 0.7


def test_a_lower_symmetry_is_not_supported():
    rng = np.random.default_rng(1)
    clean = waves(31, 2) + 0.5 * waves(31, 4)
    std = 0.2 * clean.std()
    noisy = kernel_of(clean + std * rng.normal(size=clean.shape))
    found = symmetry_scores(noisy, std=kernel_of(np.full(clean.shape, std)))
    assert found.supported["C2"]
    assert not found.supported["C4"]
    assert found.score["C4"] < found.reachable["C4"] - 5 * found.reachable_std["C4"]


def test_noise_scores_by_chance_what_is_said():
    rng = np.random.default_rng(2)
    std = 1 + 3 * np.exp(-(polar(15)[0] ** 2) / 8)  # few pixels count, so chance scores are high
    scores = [
        symmetry_scores(
            kernel_of(std * rng.normal(size=std.shape)), std=kernel_of(std), mirrors_deg=[0]
        )
        for _ in range(60)
    ]
    for name in ("C2", "C3", "m 0"):
        values = np.array([one.score[name] for one in scores])
        mean, spread = scores[0].chance[name], scores[0].chance_std[name]
        assert spread > 0.08
        assert values.std() == pytest.approx(spread, rel=0.35)
        assert abs(values.mean() - mean) < 4 * spread / np.sqrt(60)
    assert np.mean([one.supported["C2"] for one in scores]) < 0.05


def test_mirror_lines_have_their_angle_as_seen():
    found = symmetry_scores(kernel_of(waves(31, 3, 30.0)), mirrors_deg=(0, 30, 60, 90, 150))
    assert found.score["C3"] > 0.99
    assert [name for name in found.score if name[0] == "m" and found.score[name] > 0.99] == [
        "m 30",
        "m 90",
        "m 150",
    ]
    spiral = symmetry_scores(kernel_of(waves(31, 3, mirrored=False)), mirrors_deg=range(0, 180, 15))
    assert spiral.score["C3"] > 0.98
    assert max(score for name, score in spiral.score.items() if name[0] == "m") < 0.7


def test_without_a_standard_deviation_only_chance_is_known():
    found = symmetry_scores(kernel_of(np.stack([waves(21, 4), 2 * waves(21, 4)])))
    assert np.isnan(list(found.reachable.values())).all()
    assert not any(found.supported.values())
    assert "by chance" in found.summary()
    assert "reachable" not in found.summary()


def test_a_plot_has_a_bar_for_each_operation():
    clean = waves(21, 4)
    found = symmetry_scores(kernel_of(clean), std=kernel_of(np.full(clean.shape, 0.1)))
    axes = matplotlib.figure.Figure().subplots()
    assert found.plot(axes) is axes
    heights = [bar.get_height() for bar in axes.patches]
    np.testing.assert_allclose(heights, list(found.score.values()))
    assert [one.get_text() for one in axes.get_xticklabels()] == list(found.score)
    assert "C4" in found.summary()


def test_kinds_nan_and_shapes_are_refused():
    with pytest.raises(InspectionError, match="kinds"):
        symmetry_scores(kernel_of(np.zeros((2, 1, 9, 9))))
    with pytest.raises(InspectionError, match="NaN"):
        symmetry_scores(kernel_of(np.full((9, 9), np.nan)))
    with pytest.raises(InspectionError, match="shape"):
        symmetry_scores(kernel_of(np.eye(9)), std=kernel_of(np.eye(8)))
