"""Kernels that positions are fitted with, less their noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qpi_kernels import extract
from qpi_kernels.extraction.refine.denoised_kernel import denoised
from qpi_kernels.result import KernelResult
from shared.planted import random_waves, shift_and_add, with_noise

KERNEL = random_waves((24, 24), 2)
POSITIONS = np.random.default_rng(0).integers(0, 80, (10, 2))


def extracted(snr: float) -> KernelResult:
    image = with_noise(shift_and_add(KERNEL, POSITIONS, (80, 80)), snr, 0)
    return extract(image, POSITIONS, kernel_shape=(24, 24), method="least_squares")


def error(result: KernelResult) -> float:
    return float(np.sqrt(np.square(result.kernel.values - KERNEL).mean()))


def test_noise_falls_and_the_kernel_stays() -> None:
    noisy, clear = extracted(1.0), extracted(1e4)
    assert error(denoised(noisy)) < 0.6 * error(noisy)
    assert error(denoised(clear)) < 1.02 * error(clear)
    assert denoised(noisy).residual is noisy.residual


def test_a_kernel_of_nothing_but_noise_nearly_vanishes() -> None:
    result = extracted(1.0)
    noise = result.std.values * np.random.default_rng(1).standard_normal(KERNEL.shape)
    alone = denoised(replace(result, kernel=result.kernel.copy(data=noise)))
    assert np.square(alone.kernel.values).sum() < 0.15 * np.square(noise).sum()


def test_planes_are_filtered_each_by_its_own_noise() -> None:
    noisy, clear = extracted(1.0), extracted(1e4)
    image = np.stack([np.asarray(one.reconstruction + one.residual) for one in (noisy, clear)])
    stack = extract(image, POSITIONS, kernel_shape=(24, 24), method="least_squares")
    found = denoised(stack).kernel
    for plane, alone in enumerate((noisy, clear)):
        assert found.values[plane] == pytest.approx(denoised(alone).kernel.values, abs=0.02)
