"""Maps for blind extraction whose kernel and defects are known, and how to score what is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.forward import ForwardModel
from qpi_kernels.metrics import correlation
from qpi_kernels.simulate.kernel_sampler import KernelSampler

__all__ = ["BLIND_CASES", "BlindCase", "BlindProblem", "blind_problem", "shift_corrected"]


@dataclass(frozen=True)
class BlindCase:
    """Size, density and noise of a map.

    Parameters
    ----------
    image_px, kernel_px : int
        Sides of the square map and kernel.
    defects : int
        Number of defects, all of strength 1.
    noise_of_peak : float, optional
        Standard deviation of the noise over the kernel's largest value.
    snr : float, optional
        Instead: variance of the noiseless map over that of the noise.
    second : {"opposite", "other"}, optional
        What every second defect shows: the kernel with the other sign, or another one.
    """

    image_px: int
    kernel_px: int
    defects: int
    noise_of_peak: float | None = None
    snr: float | None = None
    second: Literal["opposite", "other"] | None = None

    def __post_init__(self) -> None:
        if (self.noise_of_peak is None) == (self.snr is None):
            raise ValueError("give either noise_of_peak or snr")


# The coverage of 2.73 % is the share of pixels that hold a defect in Cheung et al. 2020.
BLIND_CASES = {
    "sparse": BlindCase(128, 31, 16, noise_of_peak=0.05),
    "dense": BlindCase(185, 25, 342, snr=1.0),
    "published": BlindCase(185, 25, 934, snr=0.79),
    "both signs": BlindCase(128, 31, 16, noise_of_peak=0.05, second="opposite"),
    "two kinds": BlindCase(128, 31, 16, noise_of_peak=0.05, second="other"),
}


@dataclass(frozen=True, eq=False)
class BlindProblem:
    """A map and the truth about it.

    Parameters
    ----------
    observation : array, (rows, columns)
        The map.
    kernels : array, (kind, h, w)
        Their largest absolute values are 1.
    defects : Defects
        Where the defects are.
    noise : float
        Standard deviation of the noise.
    """

    observation: NDArray[np.float64]
    kernels: NDArray[np.float64]
    defects: Defects
    noise: float

    @property
    def kernel(self) -> NDArray[np.float64]:
        """Kernel of the first kind, (h, w)."""
        return np.asarray(self.kernels[0])


def blind_problem(
    case: BlindCase,
    *,
    seed: int = 0,
    families: Sequence[str] = ("warped_four_fold",),
    whole_pixels: bool = False,
) -> BlindProblem:
    """Simulate a map.

    Parameters
    ----------
    case : BlindCase
        What kind of map.
    seed : int
        Another seed gives another kernel, other defects and other noise.
    families : sequence of str
        Of `KernelSampler`.
    whole_pixels : bool
        Put the defects on different whole pixels rather than anywhere.
    """
    random = np.random.default_rng(seed)
    shape = (case.image_px, case.image_px)
    library = KernelSampler(families, shape=(case.kernel_px, case.kernel_px), seed=seed)
    kernels = [np.asarray(library.kernel(0), np.float64)]
    if case.second == "opposite":
        kernels.append(-kernels[0])
    elif case.second == "other":
        kernels.append(np.asarray(library.kernel(1), np.float64))
    truth = np.stack([kernel / np.abs(kernel).max() for kernel in kernels])
    if whole_pixels:
        chosen = random.choice(case.image_px**2, case.defects, replace=False)
        positions = np.stack(np.unravel_index(chosen, shape), axis=1).astype(float)
    else:
        positions = random.uniform(-0.5, case.image_px - 0.5, (case.defects, 2))
    kinds = [f"kind {1 + index % len(truth)}" for index in range(case.defects)]
    defects = Defects(positions, kind=kinds)
    model = ForwardModel(defects, shape, library.shape)
    clean = model.apply(torch.from_numpy(truth)).numpy()
    if case.snr is not None:
        noise = float(clean.std() / np.sqrt(case.snr))
    else:
        noise = float(case.noise_of_peak or 0.0)
    observation = clean + noise * random.standard_normal(shape)
    return BlindProblem(observation, truth, defects, noise)


def shift_corrected(
    true: NDArray[np.floating], found: NDArray[np.floating], *, limit_px: int = 3
) -> tuple[float, tuple[float, float]]:
    """Correlate a kernel with the truth after the best shift, down to an eighth of a pixel.

    Blind extraction can not know where the kernel of an unknown defect has its centre.

    Parameters
    ----------
    true, found : array, (h, w)
        Kernels.
    limit_px : int
        Largest shift tried, in px.

    Returns
    -------
    correlation : float
        See `qpi_kernels.metrics.correlation`.
    shift : tuple of float
        What to add to the found kernel's (row, col), in px.
    """
    best, shift = -1.0, (0.0, 0.0)
    steps: NDArray[np.float64] = np.arange(-limit_px, limit_px + 1.0)
    for _ in range(2):
        centre = shift
        for row in centre[0] + steps:
            for col in centre[1] + steps:
                moved = scipy.ndimage.shift(np.asarray(found, np.float64), (row, col), order=3)
                score = float(correlation(true, moved))
                if score > best:
                    best, shift = score, (float(row), float(col))
        steps = np.arange(-4, 5) / 8
    return best, shift
