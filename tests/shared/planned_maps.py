"""Rings of Friedel oscillations about defects, simulated without our simulator, for plans."""

import numpy as np
from scipy.special import hankel1

WINDOW, SIZE, PIXEL_NM = 20, 72, 0.3


def ring(window=WINDOW, wave=0.5, reach=6.0):
    """Friedel oscillations of a circular Fermi surface, of unit rms."""
    rows, cols = np.indices((window, window)) - window // 2
    radius = np.hypot(rows, cols)
    wave = hankel1(0, wave * np.maximum(radius, 0.8)) ** 2
    kernel = (wave * np.exp(0.4j)).imag * np.exp(-radius / reach)
    return kernel / kernel.std()


def map_of(kernel, positions, noise, seed, side=SIZE):
    """Shift a padded kernel by Fourier phases to each defect, and add noise."""
    window, size = len(kernel), side + 2 * len(kernel)
    spectrum = np.fft.rfft2(kernel, (size, size))
    rows, cols = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]
    corner = positions - window // 2 + window
    phases = sum(np.exp(-2j * np.pi * (rows * y + cols * x)) for y, x in corner)
    clean = np.fft.irfft2(spectrum * phases, (size, size))[window:-window, window:-window]
    return clean + noise * np.random.default_rng(seed).standard_normal(clean.shape)


def positions(count=12, seed=4):
    return np.random.default_rng(seed).uniform(2, SIZE - 3, (count, 2))
