"""What a person would have marked."""

import numpy as np
import pytest

from qpi_kernels import Defects
from qpi_kernels.simulate.maps.annotation import Annotation, annotate
from qpi_kernels.simulate.maps.placement import Placement, place_defects

SHAPE = (200, 200)
PLACEMENT = Placement(count=3000, margin_px=50, kinds={"A": 1, "B": 1}, strength_spread=0.3)


def truth():
    defects = place_defects(PLACEMENT, SHAPE, 0)
    inside = ((defects.positions >= -0.5) & (defects.positions <= 199.5)).all(axis=1)
    return defects, defects[inside]


def test_perfect_annotation_marks_what_lies_in_the_image():
    defects, visible = truth()
    marked = annotate(defects, SHAPE, Annotation(), 1)
    np.testing.assert_array_equal(marked.positions, visible.positions)
    np.testing.assert_array_equal(marked.kind, visible.kind)
    assert (marked.strength == 1).all()


def test_jitter_has_its_standard_deviation_and_stays_in_the_image():
    defects, visible = truth()
    marked = annotate(defects, SHAPE, Annotation(jitter_px=1.5), 1)
    middle = ((visible.positions > 6) & (visible.positions < 193)).all(axis=1)
    error = (marked.positions - visible.positions)[middle]
    np.testing.assert_allclose(error.std(axis=0), 1.5, rtol=0.06)
    np.testing.assert_allclose(error.mean(axis=0), 0, atol=0.15)
    assert marked.positions.min() == -0.5
    assert marked.positions.max() == 199.5


def test_missed_and_spurious_clicks_come_in_their_shares():
    defects, visible = truth()
    fewer = annotate(defects, SHAPE, Annotation(missed=0.2), 1)
    assert len(fewer) / len(visible) == pytest.approx(0.8, abs=0.04)
    more = annotate(defects, SHAPE, Annotation(spurious=0.3), 1)
    wrong = more[len(visible) :]
    assert len(wrong) / len(visible) == pytest.approx(0.3, abs=0.05)
    assert wrong.positions.mean() == pytest.approx(99.5, abs=6)
    assert wrong.positions.std() == pytest.approx(200 / np.sqrt(12), rel=0.06)
    assert wrong.counts()["A"] / len(wrong) == pytest.approx(0.5, abs=0.1)


def test_each_error_draws_from_its_own_stream():
    defects, visible = truth()
    everything = annotate(defects, SHAPE, Annotation(jitter_px=1, missed=0.2, spurious=0.3), 1)
    jitter = annotate(defects, SHAPE, Annotation(jitter_px=1), 1).positions
    kept = annotate(defects, SHAPE, Annotation(missed=0.2), 1).positions
    wrong = annotate(defects, SHAPE, Annotation(spurious=0.3), 1)[len(visible) :]
    chosen = np.isin(visible.positions[:, 0], kept[:, 0])
    expected = np.concatenate([jitter[chosen], wrong.positions])
    np.testing.assert_array_equal(everything.positions, expected)


def test_seeds_and_empty_images():
    defects, _ = truth()
    clumsy = Annotation(jitter_px=1, missed=0.1, spurious=0.1)
    assert annotate(defects, SHAPE, clumsy, [3, 4]) == annotate(defects, SHAPE, clumsy, [3, 4])
    assert annotate(defects, SHAPE, clumsy, [3, 4]) != annotate(defects, SHAPE, clumsy, [3, 5])
    assert len(annotate(Defects(np.zeros((0, 2))), SHAPE, clumsy, 0)) == 0
    assert len(annotate(Defects([[-20.0, 5.0]]), SHAPE, clumsy, 0)) == 0
