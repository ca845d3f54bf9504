"""Noise of a known colour is made white, and taken for no defects."""

import numpy as np
import pytest
import scipy.ndimage

from qpi_kernels.extraction.blind.noise_colour import NoiseColour
from shared.blind_maps import blind, distances, observe, rings
from shared.friedel_maps import scattered


def smooth_noise(width, size=96, seed=0):
    noise = np.random.default_rng(seed).standard_normal((1, size, size))
    smooth = scipy.ndimage.gaussian_filter(noise, (0, width, width)) if width else noise
    return smooth / smooth.std()


def neighbours(images, mask):
    both = mask[:, 1:] & mask[:, :-1]
    first, second = images[0][:, 1:][both], images[0][:, :-1][both]
    return np.corrcoef(first, second)[0, 1]


@pytest.mark.parametrize("masked", [False, True])
def test_correlated_noise_becomes_white(masked):
    noise = smooth_noise(1.0) + 0.3 * smooth_noise(0.0, seed=1)
    mask = np.ones((96, 96), bool)
    if masked:
        mask[30:40, 50:] = False
    noise = noise * mask
    colour = NoiseColour.estimate(noise, 0 * noise, mask)
    white, counted = colour.whiten(noise, mask)
    assert neighbours(noise, mask) > 0.6
    assert abs(neighbours(white, counted)) < 0.1
    # The filter has the geometric mean 1: the smooth noise has little that is not predicted.
    assert white[0][counted].var() < 0.5 * noise[0][mask].var()
    assert not (counted & ~mask).any()
    assert counted.sum() > 0.9 * mask.sum()


def test_the_colour_of_white_noise_is_none():
    noise, mask = smooth_noise(0.0), np.ones((96, 96), bool)
    colour = NoiseColour.estimate(noise, 0 * noise, mask)
    assert colour.strength < 0.03
    assert NoiseColour.estimate(smooth_noise(1.0), 0 * noise, mask).strength > 1


def test_whitened_noise_has_the_known_variance_up_to_the_edges():
    # Nothing of this noise is white: near the edges a filter would have to guess.
    noise, mask = smooth_noise(1.5), np.ones((96, 96), bool)
    colour = NoiseColour.estimate(noise, 0 * noise, mask)
    white, counted = colour.whiten(noise, mask)
    assert not counted[0].any()
    assert not counted[:, -1].any()
    assert counted.sum() > 0.85 * mask.sum()
    assert white[0][counted].var() < 2 * colour.white_variance
    outermost = counted & ~scipy.ndimage.binary_erosion(counted, iterations=2)
    assert white[0][outermost].var() < 2 * white[0][counted].var()


def test_coloured_noise_is_not_turned_into_defects():
    kernel, defects = rings(), scattered(10, seed=3)
    image = observe(kernel, defects, noise=0.0) + 0.1 * smooth_noise(1.5, 72)[0]
    found = blind(image, kinds=1).defects
    assert len(found) == 10
    assert distances(found, defects).max() < 1
    assert (found.probability >= 0.5).all()


def test_waves_beyond_the_window_are_not_turned_into_defects():
    kernel, defects = rings(61, wave=0.9, decay=20.0), scattered(8, size=110, seed=1, apart=14.0)
    image = observe(kernel, defects, size=110, noise=0.03)
    found = blind(image, kinds=1).defects
    assert len(found) == 8
    assert distances(found, defects).max() < 1
