"""The noise's spectrum: learnt where it is not white, and only there."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch

from qpi_kernels.extraction.bayes.noise_model import NoiseModel

WINDOW = (32, 32)


def spectrum_of(image: np.ndarray) -> NoiseModel:
    return NoiseModel(np.abs(np.fft.fft2(image)) ** 2, WINDOW)


def test_white_noise_is_called_white() -> None:
    for seed in range(10):
        white = np.random.default_rng(seed).normal(size=(96, 128))
        assert not spectrum_of(white).coloured


def test_correlated_noise_is_made_white(device: str) -> None:
    rng = np.random.default_rng(0)
    wave = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128)[None, :])
    filtered = np.fft.fft2(rng.normal(size=(128, 128))) / (0.05 + wave)
    coloured = np.fft.ifft2(filtered).real
    found = spectrum_of(coloured)
    assert found.coloured
    assert found.range > 10
    whitened = found.whiten(torch.from_numpy(coloured).to(device)).cpu().numpy()
    assert not spectrum_of(whitened).coloured


def test_whitening_is_symmetric_and_keeps_volumes(device: str) -> None:
    rng = np.random.default_rng(1)
    found = spectrum_of(np.cumsum(rng.normal(size=(48, 64)), axis=1))
    first, second = (torch.from_numpy(rng.normal(size=(48, 64))).to(device) for _ in range(2))
    left, right = (found.whiten(first) * second).sum(), (first * found.whiten(second)).sum()
    torch.testing.assert_close(left, right)
    np.testing.assert_allclose(np.log(found.power).mean(), 0.0, atol=1e-12)


def test_a_larger_map_sees_the_same_noise() -> None:
    rng = np.random.default_rng(2)
    found = spectrum_of(np.cumsum(rng.normal(size=(64, 64)), axis=0))
    larger = found.inverse_on((128, 150)).numpy()
    assert larger.shape == (128, 76)
    assert (larger > 0).all()
    np.testing.assert_allclose(larger.mean(), (1 / found.power).mean(), rtol=0.1)


def test_weighing_is_whitening_twice(device: str) -> None:
    random = np.random.default_rng(3)
    model = NoiseModel(np.abs(np.fft.fft2(random.normal(size=(30, 31)))) ** 2, (9, 9))
    images = torch.from_numpy(random.normal(size=(2, 30, 31))).to(device)
    torch.testing.assert_close(model.weigh(images), model.whiten(model.whiten(images)))


@pytest.mark.parametrize("shape", ["disc", "half", "random tenth"])
def test_white_noise_behind_a_mask_is_called_white_and_correlated_noise_is_not(shape: str) -> None:
    rng = np.random.default_rng(4)
    rows, columns = np.mgrid[:128, :128]
    mask = {
        "disc": np.hypot(rows - 64, columns - 64) < 20,
        "half": rows < 64,
        "random tenth": rng.random((128, 128)) < 0.1,
    }[shape]

    def seen(image: np.ndarray) -> NoiseModel:
        return NoiseModel(np.abs(np.fft.fft2(image * mask)) ** 2, WINDOW, mask=mask)

    white = [seen(rng.normal(size=mask.shape)) for _ in range(20)]
    assert not any(one.coloured for one in white)
    # Averages of n independent powers gain 1/(2 n) each: half of what is called chance.
    np.testing.assert_allclose(np.mean([one.gain / one.chance for one in white]), 0.5, atol=0.06)
    smooth = scipy.ndimage.gaussian_filter(rng.normal(size=mask.shape), 1.5, mode="wrap")
    assert seen(smooth).coloured
