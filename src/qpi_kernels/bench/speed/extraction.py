"""Cost of an extraction beside the FFTs it cannot do without."""

from __future__ import annotations

import numpy as np
import torch

from qpi_kernels.bench.speed.report import SpeedRow
from qpi_kernels.bench.speed.timing import alternate, timed_with_peak
from qpi_kernels.extraction import extract
from qpi_kernels.forward import ForwardModel
from qpi_kernels.result import KernelResult
from qpi_kernels.simulate import ParabolicBand, scatter_defects, single_defect

__all__ = ["extraction_rows"]

_IMAGE, _KERNEL, _DEFECTS, _BIASES = 256, 64, 30, 100


def extraction_rows(repeats: int = 7) -> list[SpeedRow]:
    """Measure the extraction of a 64 x 64 kernel from 30 defects on a 256 x 256 map.

    Parameters
    ----------
    repeats : int
        Timed repetitions of the single map and of its FFTs; the median counts.

    Returns
    -------
    list of SpeedRow
        Least squares with automatic ridge against the FFTs of one conjugate-gradient solution
        (two forward and two backward transforms per iteration), a cube of 100 biases against one
        map, and the cube's peak of additional memory against the cube's own size.
    """
    cube, positions = _cube()

    def single() -> KernelResult:
        return extract(cube[0], positions, method="least_squares", kernel_shape=(_KERNEL, _KERNEL))

    iterations = single().quality.iterations
    solve, transforms = alternate(single, lambda: _transforms(iterations), repeats)

    def every() -> KernelResult:
        return extract(cube, positions, method="least_squares", kernel_shape=(_KERNEL, _KERNEL))

    _, peak = timed_with_peak(every)
    whole, one = alternate(every, single, 3)
    return [
        SpeedRow(
            claim="least_squares with automatic ridge / FFTs of one solution",
            measured=solve / transforms,
            limit=5.0,
            detail=f"{1e3 * solve:.0f} ms / {1e3 * transforms:.0f} ms ({iterations} iterations)",
        ),
        SpeedRow(
            claim=f"cube of {_BIASES} biases / one map",
            measured=whole / one,
            limit=40.0,
            detail=f"{whole:.2f} s / {1e3 * one:.0f} ms",
        ),
        SpeedRow(
            claim="peak additional memory of the cube / the cube",
            measured=peak / cube.nbytes,
            limit=6.0,
            detail=f"{peak / 2**20:.0f} MiB / {cube.nbytes / 2**20:.0f} MiB",
        ),
    ]


def _cube() -> tuple[np.ndarray, np.ndarray]:
    """Simulate a float32 cube of 100 biases with noise, and its defects' positions."""
    band = ParabolicBand(mass=0.4, onset=-0.065)
    biases = np.linspace(-0.03, 0.15, 7)
    kernels = single_defect(
        band, bias=biases, pixel_nm=0.3, shape=(_KERNEL, _KERNEL), impurity=-1.0, broadening=0.006
    )
    defects = scatter_defects(_DEFECTS, (_IMAGE, _IMAGE), seed=0)
    model = ForwardModel(defects, (_IMAGE, _IMAGE), (_KERNEL, _KERNEL))
    clean = model.apply(torch.from_numpy(kernels.values[:, None])).numpy()
    rng = np.random.default_rng(0)
    cube = np.empty((_BIASES, _IMAGE, _IMAGE), np.float32)
    for index in range(_BIASES):
        plane = clean[index % len(clean)]
        cube[index] = plane + 0.3 * plane.std() * rng.standard_normal(plane.shape)
    return cube, defects.positions


def _transforms(iterations: int) -> None:
    """Compute the FFT pairs of the normal operator, nothing else."""
    model_shape = ForwardModel(
        scatter_defects(1, (_IMAGE, _IMAGE), seed=0), (_IMAGE, _IMAGE), (_KERNEL, _KERNEL)
    ).fft_shape
    kernel = torch.ones(_KERNEL, _KERNEL)
    image = torch.ones(_IMAGE, _IMAGE)
    for _ in range(iterations):
        torch.fft.irfft2(torch.fft.rfft2(kernel, s=model_shape), s=model_shape)
        torch.fft.irfft2(torch.fft.rfft2(image, s=model_shape), s=model_shape)
