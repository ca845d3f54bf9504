"""Snapping of clicks to the pattern: accuracy, bounds, edges, and the common origin."""

import numpy as np
import pytest
from scipy import ndimage

from qpi_kernels.defects import Defects, DetectionError, snap_positions


def rms(difference):
    return np.sqrt((difference**2).sum(1).mean())


def clicks_on(scene, seed, rms_px):
    random = np.random.default_rng(1000 + seed)
    return scene.positions + random.normal(0, rms_px / np.sqrt(2), scene.positions.shape)


@pytest.mark.parametrize("snr", [1.0, 10.0])
@pytest.mark.parametrize(("off", "left"), [(1.0, 0.25), (2.0, 0.3)])
def test_clicks_end_a_fraction_of_a_pixel_off(ring_map, snr, off, left):
    scene = ring_map(5, snr)
    clicks = clicks_on(scene, 5, off)
    snapped = snap_positions(scene.image, clicks, radius_px=3 * off)
    assert rms(clicks - scene.positions) > 0.75 * off
    assert rms(snapped.positions - scene.positions) < left


def test_a_common_offset_of_all_clicks_is_found(ring_map):
    scene = ring_map(6, 5.0)
    clicks = scene.positions + np.array([1.5, -1.0])
    snapped = snap_positions(scene.image, clicks)
    assert np.abs((snapped.positions - scene.positions).mean(0)).max() < 0.1


def spots_around(positions, angles, reach, weights, side=128):
    """One pattern per position: Gaussian spots at the given angles around its centre."""
    rows, cols = np.mgrid[:side, :side]
    image = np.random.default_rng(7).normal(0, 0.05, (side, side))
    for row, col in positions:
        for weight, angle in zip(weights, angles, strict=True):
            y, x = rows - row - reach * np.sin(angle), cols - col - reach * np.cos(angle)
            image += weight * np.exp(-(y**2 + x**2) / 4)
    return image


@pytest.fixture
def scattered():
    random = np.random.default_rng(8)
    grid = np.stack(np.meshgrid(np.arange(20, 120, 25.0), np.arange(20, 120, 25.0)), -1)
    positions = grid.reshape(-1, 2) + random.uniform(-3, 3, (16, 2))
    return positions, positions + random.normal(0, 1 / np.sqrt(2), positions.shape)


@pytest.mark.parametrize("turn", [0.0, 0.5, 1.3])
def test_a_three_fold_pattern_is_put_on_its_centre(scattered, turn):
    positions, clicks = scattered
    image = spots_around(positions, turn + 2 * np.pi * np.arange(3) / 3, 4.0, [1, 1, 1])
    snapped = snap_positions(image, clicks + np.array([0.7, -0.4])).positions
    assert rms(snapped - positions) < 0.35


def test_a_pattern_without_symmetry_does_not_drift(scattered):
    positions, clicks = scattered
    image = spots_around(positions, [0.0, 0.9, 2.2, 3.6], 5.0, [1, 0.6, 1.6, 2.2])
    snapped = snap_positions(image, clicks).positions
    assert rms(snapped - positions - (snapped - positions).mean(0)) < 0.1
    assert np.hypot(*(snapped - clicks).mean(0)) < 0.2


def test_moves_stay_inside_the_radius_and_the_table_stays_itself(ring_map):
    scene = ring_map(8, 5.0)
    kind = np.where(np.arange(30) % 2, "a", "b")
    clicks = Defects(clicks_on(scene, 8, 3.0), kind, np.linspace(0.5, 2, 30))
    for method in ("pattern", "extremum"):
        snapped = snap_positions(scene.image, clicks, method=method, radius_px=1.5)
        moves = np.hypot(*(snapped.positions - clicks.positions).T)
        assert moves.max() <= 1.5 + 1e-9
        assert moves.max() > 0.5
        assert (snapped.kind == clicks.kind).all()
        assert (snapped.strength == clicks.strength).all()


def test_gaps_tilt_and_line_edges_do_not_hurt(ring_map):
    scene = ring_map(9, 5.0)
    rows, cols = np.mgrid[:256, :256]
    image = scene.image + 0.05 * rows - 0.1 * cols - 300.0
    image[200:] = np.nan
    mask = np.ones(image.shape, bool)
    mask[:, 100:104] = False
    clicks = clicks_on(scene, 9, 1.0)
    snapped = snap_positions(image, clicks, mask=mask).positions
    visible = scene.positions[:, 0] < 195
    assert rms((snapped - scene.positions)[visible]) < 0.35
    unseen = scene.positions[:, 0] > 212
    assert unseen.any()
    np.testing.assert_array_equal(snapped[unseen], clicks[unseen])


def test_a_terrace_beyond_a_masked_step_does_not_pull(ring_map):
    scene = ring_map(10, 5.0)
    rows, cols = np.mgrid[:256, :256]
    edge = cols - 128 + 0.3 * (rows - 128)
    image = np.where(edge > 0, scene.image + 100.0, scene.image) + 0.02 * rows
    clicks = clicks_on(scene, 10, 1.0)
    snapped = snap_positions(image, clicks, mask=np.abs(edge) > 3).positions
    flat = snap_positions(scene.image, clicks, mask=np.abs(edge) > 3).positions
    beside = np.abs(scene.positions[:, 1] - 128 + 0.3 * (scene.positions[:, 0] - 128)) < 10
    assert beside.sum() >= 2
    assert np.abs(snapped - flat).max() < 0.05
    assert rms((snapped - scene.positions)[~beside]) < 0.3


def test_defects_at_and_beyond_the_edge():
    rows, cols = np.mgrid[:64, :64]
    positions = np.array([[0.0, 30.0], [32.0, 32.0], [50.0, 12.0], [15.0, 12.0]])
    image = sum(np.exp(-((rows - r) ** 2 + (cols - c) ** 2) / 8) for r, c in positions)
    image = image + np.random.default_rng(0).normal(0, 0.02, image.shape)
    off = np.array([[0.8, -0.6], [-1, 0.5], [0.5, 1], [0, -1]])
    clicks = np.vstack([positions + off, [[-90.0, 500.0]]])
    snapped = snap_positions(image, clicks).positions
    assert np.abs(snapped[0] - positions[0]).max() < 0.4
    assert np.abs(snapped[1:4] - positions[1:]).max() < 0.1
    np.testing.assert_array_equal(snapped[4], clicks[4])


def test_one_defect_goes_to_its_centre():
    rows, cols = np.mgrid[:64, :64]
    image = np.exp(-((rows - 30.4) ** 2 + (cols - 29.7) ** 2) / 8)
    for method in ("pattern", "extremum"):
        snapped = snap_positions(image, [[31.5, 28.5]], method=method)
        assert np.abs(snapped.positions - [[30.4, 29.7]]).max() < 0.1


@pytest.mark.parametrize("sign", [1, -1])
def test_extremum_follows_the_polarity_of_the_kind(sign):
    rows, cols = np.mgrid[:64, :64]
    positions = np.array([[20.3, 20.0], [40.0, 44.6]])
    image = sum(np.exp(-((rows - r) ** 2 + (cols - c) ** 2) / 8) for r, c in positions)
    image = sign * image + np.random.default_rng(0).normal(0, 0.03, image.shape) + 0.01 * cols
    snapped = snap_positions(image, positions + np.array([1.2, -0.9]), method="extremum")
    assert np.abs(snapped.positions - positions).max() < 0.2


def test_kinds_are_averaged_apart():
    rows, cols = np.mgrid[:160, :160]
    random = np.random.default_rng(2)
    positions = np.stack(np.meshgrid(np.arange(20, 150, 30.0), np.arange(20, 150, 30.0)), -1)
    positions = positions.reshape(-1, 2) + random.uniform(-2, 2, (25, 2))
    kind = np.where(np.arange(25) % 2, "dark", "bright")
    image = random.normal(0, 0.1, (160, 160))
    for (row, col), name in zip(positions, kind, strict=True):
        r2 = (rows - row) ** 2 + (cols - col) ** 2
        image += (
            np.exp(-r2 / 8) if name == "bright" else -ndimage.gaussian_filter(np.exp(-r2 / 18), 1)
        )
    clicks = Defects(positions + random.normal(0, 0.7, positions.shape), kind)
    assert rms(snap_positions(image, clicks).positions - positions) < 0.15


def test_nothing_to_snap():
    assert len(snap_positions(np.zeros((16, 16)), Defects([]))) == 0
    clicks = Defects([[4.0, 5.0], [8.0, 9.0]])
    assert snap_positions(np.full((16, 16), np.nan), clicks) == clicks
    flat = snap_positions(np.zeros((16, 16)), clicks)
    assert np.isfinite(flat.positions).all()
    with pytest.raises(DetectionError, match="plane"):
        snap_positions(np.zeros((2, 16, 16)), clicks)
