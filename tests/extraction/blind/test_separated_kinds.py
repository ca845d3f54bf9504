"""Kinds that share places are given one kind for each defect."""

import numpy as np
import pytest

from qpi_kernels.extraction.blind.alternating_fit import AlternatingFit
from qpi_kernels.extraction.blind.convolution_model import ConvolutionModel
from qpi_kernels.extraction.blind.evidence.separated_kinds import separate_kinds
from qpi_kernels.extraction.blind.gibbs_sampler import Points
from qpi_kernels.progress import finish
from shared.blind_maps import observe, problem_of, rings
from shared.friedel_maps import scattered

_TRUTH = np.tile([0, 1], 6)


@pytest.fixture(scope="module")
def scene():
    """Draw six defects of each of two kinds: their sites and the model of the map."""
    kernels = np.stack([rings(), 0.6 * rings(wave=1.3)])
    defects = scattered(12, size=80, seed=5, apart=6, kind=_TRUTH.astype(str))
    return defects.positions + 10, ConvolutionModel(problem_of(observe(kernels, defects, size=80)))


def fitted(scene, chosen, kinds):
    sites, model = scene
    # A second point at a site would be dropped.
    beside = np.arange(len(chosen))[:, None] >= len(sites)
    points = Points(sites[chosen] + beside, np.ones(len(chosen)), kinds)
    return finish(AlternatingFit.of_points(model, points, 2, 0, sweeps=4))


def test_defects_that_were_taken_for_both_kinds_become_one(scene):
    # The first kind is at all defects, the second, their difference, at those of one kind.
    chosen = np.concatenate([np.arange(12), np.flatnonzero(_TRUTH)])
    mixed = fitted(scene, chosen, np.repeat([0, 1], [12, 6]))
    best = finish(separate_kinds(mixed, seed=0))
    assert len(mixed.sampler.points) > 12
    assert best.cost < mixed.cost - 50
    points, sites = best.sampler.points, scene[0]
    assert len(points) == 12
    nearest = np.linalg.norm(points.sites[:, None] - sites, axis=-1).argmin(axis=1)
    np.testing.assert_array_equal(points.kinds, _TRUTH[nearest])


def test_kinds_at_places_of_their_own_stay_as_they_are(scene):
    fit = fitted(scene, np.arange(12), _TRUTH)
    assert finish(separate_kinds(fit, seed=0)) is fit
