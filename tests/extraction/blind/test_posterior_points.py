"""Defects and their probabilities from the points of several sweeps."""

import numpy as np

from qpi_kernels.extraction.blind.evidence.posterior_points import probable_points
from qpi_kernels.extraction.blind.gibbs_sampler import Points


def sweeps(count=10, seed=0):
    """Draw sweeps: one sure defect, one in six of ten, one in three, and one of unsure kind."""
    random = np.random.default_rng(seed)
    samples = []
    for index in range(count):
        present = [True, index < 6, index < 3, True]
        sites = np.array([[10, 10], [30.5, 30], [50, 20], [20, 60]])[present]
        kinds = np.array([0, 0, 0, int(index < 8)])[present]
        jitter = random.normal(0, 0.1, sites.shape)
        samples.append(Points(sites + jitter, np.ones(len(sites)), kinds))
    return samples


def test_the_share_of_sweeps_is_the_probability():
    points, probability = probable_points(sweeps())
    order = np.lexsort(points.sites.T)
    np.testing.assert_allclose(points.sites[order], [[10, 10], [30.5, 30], [20, 60]], atol=0.15)
    np.testing.assert_allclose(probability[order], np.array([10.5, 6.5, 8.5]) / 11)
    np.testing.assert_array_equal(points.kinds[order], [0, 0, 1])


def test_a_defect_that_is_now_and_then_two_is_one():
    whole = Points(np.array([[10.0, 10.0]]), np.array([1.0]), np.array([0]))
    split = Points(np.array([[9.3, 10.0], [10.7, 10.0]]), np.array([0.5, 0.5]), np.array([0, 0]))
    points, probability = probable_points([whole] * 6 + [split] * 4)
    assert len(points) == 1
    assert probability[0] > 0.95
    np.testing.assert_allclose(points.sites, [[10, 10]])
    np.testing.assert_allclose(points.strengths, 1)


def test_points_that_are_always_close_are_one_defect_of_their_strength():
    sites = np.array([[10.0, 10.0], [10.0, 11.6], [40.0, 40.0], [40.0, 42.6]])
    kinds = np.zeros(4, int)
    points, _ = probable_points([Points(sites, np.array([1.2, 0.6, 1.0, 1.0]), kinds)] * 10)
    order = np.argsort(points.sites[:, 1])
    np.testing.assert_allclose(points.sites[order], [[10, 10 + 1.6 / 3], [40, 40], [40, 42.6]])
    np.testing.assert_allclose(points.strengths[order], [1.8, 1, 1])
    # Those of another kind are there by themselves.
    points, _ = probable_points([Points(sites, np.ones(4), np.array([0, 1, 0, 1]))] * 10)
    assert len(points) == 4


def test_nothing_in_no_sweep_is_nothing():
    empty = Points(np.zeros((0, 2)), np.zeros(0), np.zeros(0, np.int64))
    points, probability = probable_points([empty] * 3)
    assert len(points) == len(probability) == 0
