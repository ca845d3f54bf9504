"""Detection on noisy maps: what is found, where, and what must not be found."""

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError
from scipy import ndimage

from qpi_kernels.defects import DetectionError, DetectionParameters, detect_defects

SIDE = 128
ROWS, COLS = np.mgrid[:SIDE, :SIDE]
SPOTS = np.array([[20.3, 30.6], [64.0, 64.5], [100.25, 20.75], [40.5, 110.0], [110.0, 100.5]])


def spots(signs=(1, 1, 1, 1, 1), diameter=8.0):
    sigma = diameter / (2 * np.sqrt(2))
    return sum(
        sign * np.exp(-((ROWS - row) ** 2 + (COLS - col) ** 2) / (2 * sigma**2))
        for sign, (row, col) in zip(signs, SPOTS, strict=True)
    )


def noise(seed=0, sigma=0.1):
    return np.random.default_rng(seed).normal(0, sigma, (SIDE, SIDE))


def partners(found, true, within):
    """For each true position the index of the nearest detection, or -1."""
    if not len(found):
        return np.full(len(true), -1)
    away = np.hypot(*(found[None, :, :] - np.asarray(true)[:, None, :]).transpose(2, 0, 1))
    return np.where(away.min(1) <= within, away.argmin(1), -1)


@pytest.mark.parametrize("size", ["auto", 6.0, 8.0, 11.0])
def test_spots_in_noise_are_found_to_a_fraction_of_a_pixel(size):
    found = detect_defects(spots() + noise(), size_px=size)
    assert len(found) == len(SPOTS)
    index = partners(found.positions, SPOTS, 1.0)
    assert sorted(index) == list(range(len(SPOTS)))
    error = found.positions[index] - SPOTS
    assert np.sqrt((error**2).sum(1).mean()) < 0.3


def test_tilt_line_offsets_slow_waves_and_units_do_not_matter():
    disturbed = 0.03 * COLS - 0.02 * ROWS + np.sin(2 * np.pi * (COLS + 0.4 * ROWS) / 70)
    disturbed = disturbed + np.random.default_rng(1).normal(0, 1, (SIDE, 1))
    image = spots() + noise() + disturbed
    found = detect_defects(image)
    assert (partners(found.positions, SPOTS, 1.0) >= 0).all()
    assert len(found) == len(SPOTS)
    in_amperes = detect_defects(1e-12 * image - 3e-9)
    np.testing.assert_allclose(in_amperes.positions, found.positions, atol=1e-6)


def test_nothing_is_found_where_nothing_is():
    hits = 0
    for seed in range(6):
        image = noise(seed) + np.random.default_rng(seed).normal(0, 1, (SIDE, 1)) + 0.05 * COLS
        hits += len(detect_defects(image, polarity="both"))
    assert hits <= 1
    assert len(detect_defects(np.zeros((32, 32)))) == 0
    assert len(detect_defects(np.full((32, 32), np.nan))) == 0
    assert len(detect_defects(np.sin(COLS / 2.0) + noise(sigma=0.05))) == 0


def test_a_step_makes_no_detections():
    step = np.where(60 + 0.3 * ROWS + 2 * np.sin(ROWS / 9) < COLS, 10.0, 0.0)
    found = detect_defects(ndimage.gaussian_filter(step, 1.5) + spots() + noise(), size_px=8)
    assert len(found) <= len(SPOTS) + 2


def test_polarity_is_chosen_or_asked_for():
    image = spots([-1, -1, -1, -1, 0.6]) + noise()
    assert len(detect_defects(image, polarity="dark")) == 4
    assert len(detect_defects(image, polarity="bright")) == 1
    auto = detect_defects(image)
    assert len(auto) == 4
    assert auto.kinds == ("defect",)
    both = detect_defects(image, polarity="both")
    assert both.counts() == {"dark": 4, "bright": 1}
    assert detect_defects(image, polarity="both", kind="CO").counts() == {"CO": 5}


def test_unmeasured_and_masked_pixels_hold_no_defects():
    image = spots() + noise()
    image[90:] = np.nan
    mask = np.ones((SIDE, SIDE), bool)
    mask[30:50, 100:120] = False
    found = detect_defects(xr.DataArray(image, dims=("y", "x")), mask=xr.DataArray(mask))
    assert len(found) == 2
    assert (partners(found.positions, SPOTS[:2], 1.0) >= 0).all()


def test_a_hole_in_the_data_is_not_a_defect():
    image = noise() + 5.0
    image[40:52, 40:52] = np.nan
    image[80, :] = np.nan
    assert len(detect_defects(image, polarity="both")) == 0


def test_border_count_and_distance():
    image = np.roll(spots() + noise(sigma=0.03), (-17, 0), axis=(0, 1))
    assert len(detect_defects(image, size_px=8)) == 5
    inner = detect_defects(image, size_px=8, exclude_border=True)
    assert len(inner) == 4
    assert (inner.positions[:, 0] > 8).all()
    strongest = detect_defects(image * np.where(COLS > 90, 3, 1), size_px=8, max_count=2)
    assert (strongest.positions[:, 1] > 90).all()
    assert len(detect_defects(image, size_px=8, min_distance_px=200)) == 1


@pytest.mark.parametrize("snr", [1.0, 5.0])
def test_overlapping_friedel_rings_give_one_detection_each(ring_map, snr):
    scene = ring_map(3, snr, count=20, apart=20, border=8)
    found = detect_defects(scene.image, polarity="bright")
    hit = (partners(found.positions, scene.positions, 2.0) >= 0).sum()
    assert hit >= 17
    assert len(found) - hit <= 2


def test_what_is_not_one_plane_is_refused():
    with pytest.raises(DetectionError, match="choose a bias"):
        detect_defects(np.zeros((3, 8, 8)))
    with pytest.raises(DetectionError, match="mask"):
        detect_defects(np.zeros((8, 8)), mask=np.ones((8, 9), bool))


@pytest.mark.parametrize(
    "change",
    [{"threshold": 0}, {"size_px": 0.1}, {"polarity": "grey"}, {"max_count": 0}, {"sized": 3}],
)
def test_parameters_out_of_range_are_refused(change):
    with pytest.raises(ValidationError):
        detect_defects(np.zeros((8, 8)), **change)


def test_every_parameter_explains_itself():
    for name, field in DetectionParameters.model_fields.items():
        assert field.description, name
        if name.endswith("_px"):
            assert field.json_schema_extra == {"unit": "px"}
