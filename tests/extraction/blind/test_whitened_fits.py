"""Points that explain smooth noise are told from defects under the other fit's whitening."""

import numpy as np
import pytest
import scipy.ndimage

from qpi_kernels.bench.blind.benchmark import coloured_problem
from qpi_kernels.extraction import extract
from qpi_kernels.extraction.blind.alternating_fit import AlternatingFit
from qpi_kernels.extraction.blind.convolution_model import ConvolutionModel
from qpi_kernels.extraction.blind.evidence.whitened_fits import better_whitened
from qpi_kernels.extraction.blind.gibbs_sampler import Points
from qpi_kernels.extraction.blind.noise_colour import NoiseColour
from qpi_kernels.progress import finish
from shared.blind_maps import observe, problem_of, rings
from shared.friedel_maps import scattered

_SITES_FROM_IMAGE = 10  # of a window of 21 px


def _whitened_fit(maps, positions):
    """Fit points, and again where what they leave is white."""
    count = len(positions)
    points = Points(positions + _SITES_FROM_IMAGE, np.ones(count), np.zeros(count, int))
    plain = finish(AlternatingFit.of_points(maps, points, 1, 0))
    residual, signal = plain.residual.numpy(), plain.predicted.numpy()
    colour = NoiseColour.estimate(residual, signal, maps.mask.numpy())
    return finish(AlternatingFit.of_points(maps.whitened(colour), points, 1, 0))


@pytest.fixture
def fits():
    """Fit the true defects, and them together with the peaks of the noise."""
    defects = scattered(10, seed=3)
    random = np.random.default_rng(0)
    noise = scipy.ndimage.gaussian_filter(random.standard_normal((72, 72)), 1.5)
    noise *= 0.2 / noise.std()
    maps = ConvolutionModel(problem_of(observe(rings(), defects, noise=0.0) + noise))
    peaks = np.argwhere((noise == scipy.ndimage.maximum_filter(noise, 3)) & (noise > 0.06))
    many = np.concatenate([defects.positions, peaks])
    return _whitened_fit(maps, defects.positions), _whitened_fit(maps, many)


def test_points_that_explain_noise_do_not_win_by_the_noise_they_leave(fits):
    true, many = fits
    many.model.known_noise, many.misfit = 0.01, 1e-4 * many.misfit
    assert many.cost < true.cost
    for pair in (fits, fits[::-1]):
        best = finish(better_whitened(*pair, seed=0))
        assert len(best.sampler.points) == 10


def test_defects_that_remain_under_stronger_noise_keep_their_fit(fits):
    true, many = fits
    assert true.model.known_noise < many.model.known_noise
    assert finish(better_whitened(many, true, seed=0)) is true


@pytest.mark.slow
def test_smooth_noise_is_not_turned_into_hundreds_of_defects():
    problem = coloured_problem(16)
    shape = problem.kernel.shape
    result = extract(
        problem.observation, None, method="blind", kernel_shape=shape, prior="none", kinds=1
    )
    assert 15 <= len(result.defects) <= 18
