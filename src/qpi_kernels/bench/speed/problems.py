"""Simulated maps whose extraction is timed, and what is asked of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.bench.blind.problems import BlindCase, blind_problem
from qpi_kernels.bench.speed.foreign_kernels import foreign_kernel
from qpi_kernels.defects import Defects
from qpi_kernels.extraction import Extraction, start_extraction
from qpi_kernels.forward import ForwardModel
from qpi_kernels.simulate import ParabolicBand, scatter_defects, single_defect
from qpi_kernels.simulate.kernel_sampler import KernelSampler
from qpi_kernels.simulate.scan.samples import bias_grid

__all__ = [
    "NoiseName",
    "Task",
    "blind_map",
    "coloured_map",
    "family_map",
    "foreign_map",
    "grid_sample",
    "ring_stack",
    "strange_map",
]

_SNR = 10.0
# Share of the noise's variance that all biases have in common, as a grid's height noise is.
_SHARED = 0.8
# Biases that are convolved at a time.
_AT_ONCE = 8
NoiseName = Literal["white", "coloured"]
_BAND = ParabolicBand(mass=0.4, onset=-0.065)


@dataclass(frozen=True, eq=False)
class Task:
    """A map, or a stack, and the arguments of `extract`.

    Parameters
    ----------
    observation : array, (rows, columns) or (bias, rows, columns)
        float32.
    defects : Defects, optional
        None for ``blind``.
    options : dict
        Further arguments.
    hidden : Defects, optional
        Where the defects are that ``blind`` is to find.
    """

    observation: NDArray[np.float32]
    defects: Defects | None
    options: dict[str, Any] = field(default_factory=dict)
    hidden: Defects | None = None

    @property
    def planes(self) -> int:
        """Number of maps."""
        return len(self.observation) if self.observation.ndim == 3 else 1

    def asked(self, **options: Any) -> Task:
        """Ask for something else of the same map."""
        return replace(self, options=self.options | options)

    def least_squares(self) -> Task:
        """Ask for the plain solution of the same map, with the true defects."""
        defects = self.hidden if self.defects is None else self.defects
        return replace(self, defects=defects).asked(method="least_squares")

    def alone(self) -> list[Task]:
        """Take the maps of a stack one by one."""
        return [replace(self, observation=one) for one in self.observation]

    def start(self, device: str) -> Extraction:
        """Start the extraction on a device."""
        return start_extraction(self.observation, self.defects, device=device, **self.options)


def family_map(
    side: int,
    window: int,
    count: int,
    *,
    snr: float = _SNR,
    kinds: int = 1,
    family: str = "warped_four_fold",
) -> Task:
    """Simulate a map of the kernels of one family of the bundled library, with white noise."""
    sampler = KernelSampler([family], shape=(window, window), seed=5)
    kernels = np.stack([np.asarray(sampler.kernel(1 + n).values, float) for n in range(kinds)])
    return _noisy_map(kernels, side, count, snr)


def strange_map(side: int, window: int, count: int) -> Task:
    """Simulate a map of a kernel that no family has: three oblique plane waves that fade."""
    rows, columns = np.indices((window, window)) - window // 2
    waves = [np.cos(a * rows + b * columns) for a, b in ((0.7, 0.3), (-0.2, 0.9), (0.5, -0.6))]
    kernel = np.sum(waves, axis=0) * np.exp(-np.hypot(rows, columns) / (window / 6))
    return _noisy_map(kernel[None], side, count, _SNR)


def foreign_map(
    family: str, seed: int, side: int, window: int, count: int, noise: NoiseName = "white"
) -> Task:
    """Simulate a map of a kernel that no family of the library has."""
    kernel = foreign_kernel(family, window, seed)[None]
    if noise == "white":
        return _noisy_map(kernel, side, count, _SNR)
    return _with_coloured_noise(_noisy_map(kernel, side, count, 1e6))


def coloured_map(side: int, window: int, count: int) -> Task:
    """Simulate a map of a listed family with noise that is strongest at long waves."""
    return _with_coloured_noise(family_map(side, window, count, snr=1e6))


def ring_stack(
    side: int, window: int, count: int, biases: int, noise: Literal["own", "shared"] = "own"
) -> Task:
    """Simulate a stack of a dispersing ring, with noise of its own in each map or of all alike."""
    defects = scatter_defects(count, (side, side), seed=0)
    random = np.random.default_rng(0)
    share = _SHARED if noise == "shared" else 0.0
    common = share**0.5 * random.standard_normal((side, side))
    stack = _shown(defects, _rings(window, biases), side)
    for clean in stack:
        own = (1 - share) ** 0.5 * random.standard_normal((side, side))
        clean += clean.std() / _SNR**0.5 * (common + own)
    return Task(_single(stack), defects, _window(window))


@cache
def _rings(window: int, biases: int) -> NDArray[np.float64]:
    """Simulate kernels of a dispersing ring, (bias, 1, h, w)."""
    kernels = single_defect(
        _BAND,
        bias=np.linspace(-0.03, 0.15, biases),
        pixel_nm=0.3,
        shape=(window, window),
        impurity=-1.0,
        broadening=0.006,
        device="cpu",
    )
    return np.asarray(kernels.values, float).reshape(-1, 1, window, window)


def grid_sample(biases: int = 21) -> Task:
    """Take the plugin's sample of a grid of spectra, or its first biases."""
    scan = bias_grid()
    observation = _single(scan["didv"].values[:biases])
    return Task(observation, Defects(scan["defect_position"].values), _window(35))


def blind_map(side: int, window: int, count: int, *, seed: int = 0) -> Task:
    """Simulate a map whose defects are to be found."""
    problem = blind_problem(BlindCase(side, window, count, noise_of_peak=0.05), seed=seed)
    options = _window(window) | {"method": "blind"}
    return Task(_single(problem.observation), None, options, hidden=problem.defects)


def _with_coloured_noise(task: Task) -> Task:
    """Add noise whose spectrum falls with the wave number."""
    side = task.observation.shape[-1]
    wave = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None, :])
    white = np.random.default_rng(2).standard_normal((side, side))
    noise = np.fft.ifft2(np.fft.fft2(white) / (0.03 + wave)).real
    clean = task.observation
    noise *= clean.std() / _SNR**0.5 / noise.std()
    return replace(task, observation=_single(clean + noise))


def _noisy_map(kernels: NDArray[np.float64], side: int, count: int, snr: float) -> Task:
    """Show kernels (kind, h, w) at scattered defects, with white noise."""
    positions = scatter_defects(count, (side, side), seed=1).positions
    defects = Defects(positions, kind=[f"kind {n % len(kernels)}" for n in range(count)])
    clean = _shown(defects, kernels[None], side)[0]
    noise = np.random.default_rng(1).standard_normal(clean.shape)
    observation = _single(clean + clean.std() / snr**0.5 * noise)
    return Task(observation, defects, _window(kernels.shape[-1]))


def _shown(defects: Defects, kernels: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Convolve kernels (bias, kind, h, w) with the defects, (bias, rows, columns)."""
    model = ForwardModel(defects, (side, side), (kernels.shape[-2], kernels.shape[-1]))
    shown = [model.apply(some) for some in torch.split(torch.from_numpy(kernels), _AT_ONCE)]
    return np.asarray(torch.cat(shown).numpy())


def _single(image: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(image, np.float32)


def _window(side: int) -> dict[str, Any]:
    return {"kernel_shape": (side, side)}
