"""Where to scan, which pixels to measure, and the way through them."""

import csv

import numpy as np
import pytest
import xarray as xr

from qpi_kernels.defects import Defects
from qpi_kernels.extraction import ExtractionError, extract
from qpi_kernels.extraction.planning.pixel_choice import propose_pixels
from qpi_kernels.extraction.planning.rectangle import choose_rectangle
from qpi_kernels.extraction.planning.tour import plan_tour, save_tour, tour_length
from shared.planned_maps import SIZE, WINDOW, map_of, positions, ring


def test_proposed_pixels_are_better_than_random_ones():
    count = SIZE**2 // 8
    rng = np.random.default_rng(0)
    chosen = propose_pixels(positions(), (SIZE, SIZE), (WINDOW, WINDOW), count, seed=1)
    assert chosen.sum() == count
    errors = {"chosen": [], "random": []}
    for seed in range(2):
        any_of_them = np.zeros(SIZE**2, bool)
        any_of_them[rng.permutation(SIZE**2)[:count]] = True
        observation = map_of(ring(), positions(), 0.5, seed)
        for name, mask in (("chosen", chosen), ("random", any_of_them.reshape(SIZE, SIZE))):
            sparse = np.where(mask, observation, np.nan)
            found = extract(sparse, positions(), kernel_shape=(WINDOW, WINDOW)).kernel.values
            errors[name].append(np.square(found - ring()).mean())
    assert np.mean(errors["chosen"]) < 0.8 * np.mean(errors["random"])


def test_pixels_are_chosen_where_they_may_be():
    allowed = np.zeros((SIZE, SIZE), bool)
    allowed[:, :30] = True
    window = (WINDOW, WINDOW)
    chosen = propose_pixels(positions(), (SIZE, SIZE), window, 500, allowed=allowed, noise=1.0,
                            signal=0.1)  # fmt: skip
    assert chosen.sum() == 500
    assert not chosen[~allowed].any()
    everything = propose_pixels(positions(), (SIZE, SIZE), window, SIZE**2)
    assert everything.all()
    with pytest.raises(ExtractionError, match="can not be chosen"):
        propose_pixels(positions(), (SIZE, SIZE), window, 2500, allowed=allowed)
    with pytest.raises(ExtractionError, match="mark"):
        propose_pixels(np.zeros((0, 2)), (SIZE, SIZE), window, 5)


def test_a_tour_passes_each_pixel_once_and_is_short(tmp_path):
    mask = np.random.default_rng(2).random((60, 80)) < 0.1
    tour = plan_tour(mask)
    back = np.zeros_like(mask)
    back[tuple(tour.T)] = True
    assert len(tour) == mask.sum()
    np.testing.assert_array_equal(back, mask)
    # Scan lines, and the length that the best tour of random points has (Beardwood 1959).
    lines = np.argwhere(mask)
    assert tour_length(tour) < 0.25 * tour_length(lines)
    assert tour_length(tour) < 1.12 * 0.7124 * np.sqrt(mask.sum() * mask.size)
    full = plan_tour(np.ones((6, 7), bool))
    assert tour_length(full) < 1.1 * 41
    assert len(plan_tour(np.eye(2, dtype=bool))) == 2


def test_a_tour_is_written_in_nm(tmp_path):
    units = {"units": "nm"}
    image = xr.DataArray(
        np.zeros((3, 4)),
        dims=("y", "x"),
        coords={"y": ("y", [2.0, 1.0, 0.0], units), "x": ("x", 0.5 * np.arange(4), units)},
    )
    path = save_tour([(2, 1), (0, 3)], tmp_path / "tour.csv", image)
    rows = list(csv.reader(path.read_text().splitlines()))
    assert rows == [["x_nm", "y_nm", "row", "col"], ["0.5", "0", "2", "1"], ["1.5", "2", "0", "3"]]


def test_a_rectangle_lies_where_the_defects_are():
    rng = np.random.default_rng(3)
    crowd = rng.uniform((40, 100), (90, 150), (15, 2))
    few = rng.uniform(0, 199, (3, 2))
    place = choose_rectangle(np.concatenate([crowd, few]), (200, 200), (20, 20))
    centre = place.row + place.rows / 2, place.col + place.columns / 2
    assert np.abs(np.array(centre) - (65, 125)).max() < 20
    assert place.rows < 130
    assert place.shown > 10
    within = place.within(Defects(crowd))
    np.testing.assert_allclose(within.positions, crowd - (place.row, place.col))
    assert np.ptp(place.corners[:, 0]) == place.rows


def test_a_rectangle_keeps_off_what_does_not_count_and_has_the_size_asked_for():
    defects = np.random.default_rng(3).uniform(0, 199, (60, 2))
    allowed = np.ones((200, 200), bool)
    allowed[:, :100] = False
    place = choose_rectangle(defects, (200, 200), (20, 20), size=(60, 50), allowed=allowed)
    assert (place.rows, place.columns) == (60, 50)
    assert place.col >= 95
    with pytest.raises(ExtractionError, match="does not fit"):
        choose_rectangle(defects, (200, 200), (20, 20), size=(300, 10))
