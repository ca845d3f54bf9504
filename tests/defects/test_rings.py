"""Centres of rings: found by their waves whatever the core, and nothing else is."""

import numpy as np
import pytest

from qpi_kernels.defects import detect_defects

SIDE = 160
ROWS, COLS = np.mgrid[:SIDE, :SIDE]
CENTRES = np.array([[40.0, 45.0], [60.4, 118.7], [118.2, 62.5], [127.0, 130.0]])


def ring(centre, wavelength, phase):
    """Draw cos(q r + phase) / sqrt(1 + q r), damped over four wavelengths."""
    r = 2 * np.pi / wavelength * np.hypot(ROWS - centre[0], COLS - centre[1])
    return np.cos(r + phase) / np.sqrt(1 + r) * np.exp(-r / (8 * np.pi))


def scene(wavelength, phase, snr, seed=0, strengths=(1, 0.8, 1.2, 0.9)):
    waves = sum(
        strength * ring(centre, wavelength, phase)
        for strength, centre in zip(strengths, CENTRES, strict=True)
    )
    noise = np.random.default_rng(seed).normal(0, waves.std() / np.sqrt(snr), waves.shape)
    return waves + noise


def cluster(centre, seed, reach=7.0):
    """Draw bright and dark bumps around a centre, much higher than the waves."""
    random = np.random.default_rng(seed)
    bumps = centre + random.normal(0, reach / 2, (12, 2))
    return sum(
        random.choice([-3, 3]) * np.exp(-((ROWS - row) ** 2 + (COLS - col) ** 2) / 8)
        for row, col in bumps
    )


def hits_and_others(found, within, true=CENTRES):
    away = np.linalg.norm(found.positions[:, None] - true, axis=-1)
    hits = int((away.min(0) <= within).sum()) if len(found) else 0
    return hits, len(found) - hits


@pytest.mark.parametrize("wavelength", [7.0, 9.0, 12.0])
@pytest.mark.parametrize("phase", [0.0, 1.6, 3.4, 4.7])
@pytest.mark.parametrize("snr", [1.0, 10.0])
def test_centres_are_found_at_any_phase(wavelength, phase, snr):
    found = detect_defects(scene(wavelength, phase, snr), look="rings")
    assert hits_and_others(found, 0.2 * wavelength) == (4, 0)


def test_faint_scatterers_beside_a_strong_one_are_found():
    found = detect_defects(scene(9.0, 1.6, 5.0, strengths=(3, 0.7, 0.7, 0.7)), look="rings")
    assert hits_and_others(found, 2.0) == (4, 0)


@pytest.mark.parametrize("seed", range(3))
def test_a_cluster_is_one_defect(seed):
    image = scene(10.0, 0.7, 5.0, seed) + cluster(CENTRES[0], seed) + cluster(CENTRES[3], seed + 9)
    assert hits_and_others(detect_defects(image), 4.0) == (4, 0)
    hits, others = hits_and_others(detect_defects(image, look="cores"), 4.0)
    assert hits < 4 or others > 0


def test_rows_masks_and_a_step_do_not_hurt():
    random = np.random.default_rng(3)
    image = scene(9.0, 0.7, 3.0) + random.normal(0, 0.1, (SIDE, 1))
    edge = COLS + 0.4 * ROWS - 132
    mask = np.abs(edge) > 6
    mask[78:82] = False
    mask[40, 20:60] = False
    image = np.where(mask, image + 2.0 * (edge > 0), 50.0)
    assert hits_and_others(detect_defects(image, mask=mask), 2.0) == (4, 0)


def test_where_waves_cross_or_meet_the_edge_is_no_defect():
    image = scene(9.0, 0.2, 20.0) + 2 * ring((60.0, 152.0), 9.0, 0.2)
    found = detect_defects(image)
    true = np.vstack([CENTRES, [60.0, 152.0]])
    assert hits_and_others(found, 2.0, true) == (5, 0)


def test_plane_waves_lattices_and_noise_have_no_centres():
    noise = np.random.default_rng(1).normal(0, 0.3, (SIDE, SIDE))
    plane = np.cos(2 * np.pi * (COLS + 0.3 * ROWS) / 11)
    angles = 0.2 + np.pi / 3 * np.arange(3)
    lattice = sum(np.cos(2 * np.pi * (np.cos(a) * ROWS + np.sin(a) * COLS) / 8.3) for a in angles)
    edge = COLS - 40 + 0.3 * ROWS
    standing = np.where(edge > 0, np.cos(edge / 2) / np.sqrt(1 + np.abs(edge) / 6), 0.0)
    for image in (noise, noise + plane, noise + lattice, noise / 3 + standing):
        assert len(detect_defects(image, look="rings")) == 0


def test_the_polarity_asked_for_holds_for_centres_too():
    image = scene(10.0, 0.0, 10.0)
    assert len(detect_defects(image, look="rings", polarity="bright")) == 4
    assert len(detect_defects(image, look="rings", polarity="dark")) == 0


def test_a_small_map_without_room_for_rings_is_searched_for_cores_alone():
    rows, cols = np.mgrid[:24, :24]
    image = np.exp(-((rows - 12) ** 2 + (cols - 11) ** 2) / 8)
    assert len(detect_defects(image)) == 1
    assert len(detect_defects(image, look="rings")) == 0
