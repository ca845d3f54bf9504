"""Where simulated defects lie, of which kinds they are and how strong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from qpi_kernels.simulate.maps.placement import (
    Placement,
    PlacementError,
    place_defects,
    scatter_defects,
)

SHAPE = (80, 120)


def nearest(positions):
    return cKDTree(positions).query(positions, k=2)[0][:, 1]


@pytest.mark.parametrize("arrangement", ["random", "hard_core", "clustered", "ordered"])
@given(
    seed=st.integers(0, 2**63),
    margin=st.floats(-10, 10),
    count=st.integers(0, 40),
)
@settings(max_examples=20, deadline=None)
def test_every_arrangement_stays_in_its_region(arrangement, seed, margin, count):
    distance = 2.0 if arrangement == "hard_core" else 0.0
    placement = Placement(
        count=count,
        arrangement=arrangement,
        margin_px=margin,
        min_distance_px=distance,
        disorder_px=1.0,
    )
    defects = place_defects(placement, SHAPE, [seed, 1])
    assert len(defects) == count
    assert (defects.positions >= -margin - 0.5).all()
    assert (defects.positions <= np.array(SHAPE) + margin - 0.5).all()
    assert defects == place_defects(placement, SHAPE, [seed, 1])


def test_random_defects_fill_image_and_margin_evenly():
    placement = Placement(count=4000, margin_px=20)
    points = place_defects(placement, SHAPE, 0).positions
    inside = ((points >= -0.5) & (points <= np.array(SHAPE) - 0.5)).all(axis=1)
    expected = SHAPE[0] * SHAPE[1] / (120 * 160)
    assert inside.mean() == pytest.approx(expected, abs=4 * np.sqrt(expected / 4000))
    assert np.abs(points % 1).std() > 0.25  # sub-pixel
    # Clark and Evans: mean nearest distance of independent points.
    assert nearest(points).mean() == pytest.approx(0.5 * np.sqrt(120 * 160 / 4000), rel=0.06)


def test_clusters_are_tight_and_far_apart():
    placement = Placement(count=200, arrangement="clustered", cluster_members=20, cluster_px=2)
    points = place_defects(placement, (400, 400), 1).positions
    random = place_defects(Placement(count=200), (400, 400), 1).positions
    assert nearest(points).mean() < 0.15 * nearest(random).mean()
    tree = cKDTree(points)
    assert np.median([len(found) - 1 for found in tree.query_ball_point(points, 10)]) > 10


def test_clusters_may_keep_a_distance_too():
    placement = Placement(count=60, arrangement="clustered", cluster_px=8, min_distance_px=3)
    assert nearest(place_defects(placement, SHAPE, 2).positions).min() >= 3


@pytest.mark.parametrize(("lattice", "fold"), [("square", 4), ("triangular", 6)])
def test_ordered_defects_sit_on_a_lattice(lattice, fold):
    placement = Placement(
        count=30, arrangement="ordered", lattice=lattice, lattice_px=6.5, lattice_angle_deg=17
    )
    points = place_defects(placement, SHAPE, 3).positions
    row, column = (points - points[0]).T
    for turn in range(fold // 2):
        # Plane waves of the reciprocal lattice have the same phase on every site.
        opening = np.sin(2 * np.pi / fold)
        angle = np.radians(17 + 90 + turn * 360 / fold)
        phase = (column * np.cos(angle) + row * np.sin(angle)) / (6.5 * opening)
        np.testing.assert_allclose(phase, np.rint(phase), atol=1e-9)


def test_without_a_lattice_constant_the_lattice_is_nearly_full():
    placement = Placement(count=96, arrangement="ordered")
    perfect = nearest(place_defects(placement, SHAPE, 4).positions)
    assert np.median(perfect) == pytest.approx(10, rel=0.1)
    assert (perfect < 1.01 * perfect.min()).mean() > 0.95
    disordered = placement.model_copy(update={"disorder_px": 0.5})
    spread = nearest(place_defects(disordered, SHAPE, 4).positions)
    assert 0.1 < spread.std() < 1


def test_kinds_come_in_their_shares_and_strengths_in_their_spread():
    placement = Placement(count=8000, kinds={"Fe": 3.0, "Co": 1.0}, strength_spread=0.3)
    defects = place_defects(placement, SHAPE, 5)
    assert defects.counts()["Fe"] / 8000 == pytest.approx(0.75, abs=0.02)
    assert defects.strength.min() > 0
    assert defects.strength.mean() == pytest.approx(1, abs=0.015)
    assert defects.strength.std() == pytest.approx(0.3, rel=0.05)


def test_positions_kinds_and_strengths_are_independent_streams():
    plain = place_defects(Placement(count=50), SHAPE, 6)
    spread = place_defects(Placement(count=50, strength_spread=0.2), SHAPE, 6)
    both = place_defects(Placement(count=50, strength_spread=0.2, kinds={"A": 1, "B": 1}), SHAPE, 6)
    np.testing.assert_array_equal(plain.positions, spread.positions)
    np.testing.assert_array_equal(plain.positions, both.positions)
    np.testing.assert_array_equal(spread.strength, both.strength)
    assert set(both.kinds) == {"A", "B"}
    assert (plain.strength == 1).all()


def test_another_seed_gives_other_defects():
    assert scatter_defects(5, SHAPE, 0) != scatter_defects(5, SHAPE, 1)
    assert scatter_defects(5, SHAPE, [0, 1]) != scatter_defects(5, SHAPE, [0, 2])


def test_what_does_not_fit_is_refused():
    with pytest.raises(PlacementError, match="do not fit at a distance of 10 px"):
        scatter_defects(100, (32, 32), 0, min_distance_px=10)
    with pytest.raises(PlacementError, match="lattice_px"):
        place_defects(Placement(count=20, arrangement="ordered", lattice_px=30), (40, 40), 0)
    with pytest.raises(PlacementError, match="leaves no room"):
        scatter_defects(1, (32, 32), 0, margin_px=-16)
    with pytest.raises(ValueError, match="above 0"):
        Placement(arrangement="hard_core")
    with pytest.raises(ValueError, match="hard_core"):
        Placement(min_distance_px=3)
