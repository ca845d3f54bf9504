"""Joining of points where a fit takes each defect for two."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from qpi_kernels import Defects
from qpi_kernels.extraction.blind.alternating_fit import AlternatingFit
from qpi_kernels.extraction.blind.convolution_model import ConvolutionModel
from qpi_kernels.extraction.blind.gibbs_sampler import Points
from qpi_kernels.extraction.blind.joined_points import common_separation, join_points
from qpi_kernels.extraction.blind.quality_report import with_blind_reasons
from qpi_kernels.extraction.least_squares.estimator import LeastSquares
from qpi_kernels.progress import drive, finish
from shared.blind_maps import observe, problem_of, rings
from shared.friedel_maps import scattered

_APART = np.array([6.0, -2.0])
_SITES_FROM_IMAGE = 10  # of a window of 21 px


def _split(defects):
    """Put two defects, each half of `_APART` away, where one is."""
    return Defects(np.concatenate([defects.positions - _APART / 2, defects.positions + _APART / 2]))


def _not_alone(count):
    """Count how many of so many places at random, in 72 by 72 pixels, have another within 2 px."""
    random, found = np.random.default_rng(0), []
    for _ in range(500):
        places = random.uniform(0, 72, (count, 2))
        away = cKDTree(places, boxsize=72).query(places, k=2)[0][:, 1]
        found.append(np.count_nonzero(away < 2))
    return np.mean(found)


def _map_of_pairs(defects):
    """Draw defects whose kernel is the same small kernel twice."""
    return observe(rings(decay=2.0), _split(defects), noise=0.1)


def _fit(observation, defects):
    points = Points(
        defects.positions + _SITES_FROM_IMAGE, np.ones(len(defects)), np.zeros(len(defects), int)
    )
    model = ConvolutionModel(problem_of(observation))
    return finish(AlternatingFit.of_points(model, points, 1, 0))


def test_each_defect_that_was_taken_for_two_becomes_one():
    defects = scattered(20, apart=8)
    split = _fit(_map_of_pairs(defects), _split(defects))
    joined = finish(join_points(split, seed=0))
    assert len(joined.sampler.points) == len(defects)
    assert joined.cost < split.cost
    sites = joined.sampler.points.sites - _SITES_FROM_IMAGE
    nearest = np.linalg.norm(sites[:, None] - defects.positions, axis=-1).argmin(axis=0)
    np.testing.assert_allclose(sites[nearest], defects.positions, atol=0.7)


def test_a_fit_without_pairs_stays_as_it_is():
    defects = scattered()
    fit = _fit(observe(rings(), defects), defects)
    assert finish(join_points(fit, seed=0)) is fit


@pytest.mark.parametrize("apart", [_APART, [0.0, 7.3]])
def test_pairs_show_their_separation_among_others(apart):
    random = np.random.default_rng(0)
    firsts = scattered(15, size=100).positions
    seconds = firsts[:12] + apart + random.normal(0, 0.2, (12, 2))
    found = common_separation(np.concatenate([firsts, seconds]), (21, 21), (100, 100))
    np.testing.assert_allclose(found * np.sign(found @ apart), apart, atol=0.3)


@pytest.mark.parametrize("count", [3, 16, 100, 500])
def test_points_at_random_have_no_common_separation(count):
    for seed in range(5):
        sites = np.random.default_rng(seed).uniform(0, 100, (count, 2))
        assert common_separation(sites, (21, 21), (100, 100)) is None


@pytest.mark.parametrize("pairs", [True, False])
def test_pairs_that_remain_leave_the_verdict_uncertain(pairs):
    defects = scattered(20, apart=8)
    problem = problem_of(_map_of_pairs(defects))
    marked = replace(problem, defects=_split(defects) if pairs else defects)
    reasons = with_blind_reasons(drive(LeastSquares(marked))).quality.reasons
    trusts = [reason.trust for reason in reasons if reason.code == "paired_defects"]
    assert trusts == ["uncertain"] * pairs


@pytest.mark.parametrize("count", [20, 60])
def test_dense_defects_leave_the_verdict_uncertain(count):
    defects = scattered(count, apart=2)
    marked = replace(problem_of(observe(rings(), defects, noise=0.1)), defects=defects)
    quality = with_blind_reasons(drive(LeastSquares(marked))).quality
    found = {reason.code: reason for reason in quality.reasons}
    assert ("dense_defects" in found) == (count == 60)
    if count == 60:
        assert found["dense_defects"].number == pytest.approx(_not_alone(count), rel=0.04)
        assert quality.trust != "good"
