"""Errors of fits to images with coloured noise, against the scatter of drawn fits."""

import numpy as np
import pytest

from qpi_kernels.inspect.dispersion.synthesis.correlated_errors import correlated_covariance

SIDE = 40


@pytest.mark.parametrize("ring", [0.0, 4.0])
def test_errors_are_the_scatter_of_fits_to_coloured_noise(ring):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    pixels = np.hypot(y, x) > 4
    q = 2 * np.pi * np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    # Noise with more power where the waves of the model are.
    gain = np.sqrt(1 + ring * np.exp(-((q - 0.8) ** 2) / 0.08))
    gain /= np.sqrt(np.square(gain).mean())
    model = np.stack([np.cos(0.8 * x), np.sin(0.6 * x + 0.5 * y), np.ones_like(q)], axis=-1)[pixels]
    solutions, told = [], []
    for _ in range(200):
        noise = np.fft.ifft2(np.fft.fft2(rng.standard_normal(q.shape)) * gain).real[pixels]
        solution, *_ = np.linalg.lstsq(model, noise, rcond=None)
        solutions.append(solution)
        residual = (noise - model @ solution)[None]
        told.append(np.diag(correlated_covariance(model[None], residual, pixels)))
    scatter, errors = np.std(solutions, axis=0), np.sqrt(np.mean(told, axis=0))
    np.testing.assert_allclose(errors[:2], scatter[:2], rtol=0.2)
    plain = np.sqrt(np.diag(np.linalg.inv(model.T @ model)))
    assert (errors >= plain * (1 - 1e-9)).all()
    assert (errors[:2] > 1.4 * plain[:2]).all() == bool(ring)
