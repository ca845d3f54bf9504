"""Approximate symmetry of kernels, as their map shows it, and priors that know of it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.bayes.priors.covariance_roots import CovarianceRoot
from qpi_kernels.extraction.symmetrisation import Symmetrisation

__all__ = ["NearSymmetry", "NearlySymmetricRoot", "measure_near_symmetry"]

# Shares below so much of chance's are symmetry; signals weaker than so much chance show none.
_USED, _MIN_SIGNAL = 0.3, 4.0
# Waves of more periods per pixel fade, and are left out of symmetries that interpolate.
_LONG_WAVES = (0.3, 0.42)
# Groups that map pixels to pixels, and their operations.
_QUARTER_TURNS = {"C2": 2, "C4": 4}
# Directions in which a mirror is searched.
_DIRECTIONS = 360
# No share is known better than to this.
_MIN_SHARE = 1e-6


@dataclass(frozen=True)
class NearSymmetry:
    """Shares of a kernel's variance that averages over point groups do not have.

    Without symmetry they are 1/2, 2/3, 3/4 and 1/2.

    Parameters
    ----------
    two, three, four : float
        Of the two-, three- and four-fold rotations.
    mirror : float
        Of the reflection at a line.
    mirror_deg : float
        Its direction, as `Symmetry` has it.
    """

    two: float = 1 / 2
    three: float = 2 / 3
    four: float = 3 / 4
    mirror: float = 1 / 2
    mirror_deg: float = 0.0

    @classmethod
    def of_fold(cls, fold: int, rest: float, *, square: bool) -> NearSymmetry:
        """Describe kernels whose rotations by 360/fold degrees change a share of the variance.

        Parameters
        ----------
        fold : int
            0 for all rotations.
        rest : float
            The share.
        square : bool
            Whether the window has four-fold rotations.
        """
        two = rest if fold % 2 == 0 else 1 / 2
        four = rest if fold in (0, 4) and square else (1 + two) / 2
        return cls(two, rest if fold % 3 == 0 else 2 / 3, four)

    @property
    def steps(self) -> list[tuple[str, float, float]]:
        """Groups that are worth their work, with factors of what each changes, and what it keeps.

        A factor is the root of the variance over that without symmetry.
        """
        found = []
        two, four = self.two, max(self.four, self.two + _MIN_SHARE)
        odd, even = (2 * two) ** 0.5, (2 * (1 - two)) ** 0.5
        use_four = four < _USED * (1 + two) / 2
        if use_four:
            changed = 2 * (four - two) ** 0.5 / even
            found.append(("C4", changed, 2 * (1 - four) ** 0.5 / even))
            # What two-fold rotations change, four-fold ones change too.
            odd /= changed
        if use_four or two < _USED / 2:
            found.append(("C2", odd, even))
        if self.three < _USED * 2 / 3:
            found.append(("C3", (1.5 * self.three) ** 0.5, (3 * (1 - self.three)) ** 0.5))
        if self.mirror < _USED / 2:
            group = f"Cs@{self.mirror_deg:.3f}"
            found.append((group, (2 * self.mirror) ** 0.5, (2 * (1 - self.mirror)) ** 0.5))
        return found


class NearlySymmetricRoot:
    r"""Another root, reweighted so that its kernels have given shares of symmetry.

    Its kernels are multiplied by :math:`\sum_i \sqrt{a_i / d_i}\, P_i` with projections
    :math:`P_i` on kernels that change alike under rotations, the variance :math:`a_i` that these
    shall have, and the share :math:`d_i` of all kernels that they are.

    Parameters
    ----------
    root : CovarianceRoot
        Of kernels without symmetry.
    shares : NearSymmetry
        As measured.
    shape : tuple of int
        Kernel window.
    like : tensor
        Precision and device.
    """

    def __init__(
        self, root: CovarianceRoot, shares: NearSymmetry, shape: tuple[int, int], like: torch.Tensor
    ) -> None:
        self.root = root
        self.size = root.size
        self._turns: list[tuple[int, float, float]] = []
        self._interpolations: list[tuple[Symmetrisation, float, float]] = []
        for group, changed, kept in shares.steps:
            if group in _QUARTER_TURNS:
                turns = _QUARTER_TURNS[group]
                self._turns.append((turns, changed, kept - changed))
            else:
                average = _average(group, shape, like.dtype, like.device)
                self._interpolations.append((average, changed, kept - changed))

    def of(self, root: CovarianceRoot) -> NearlySymmetricRoot:
        """Give another root the same shares."""
        other = copy.copy(self)
        other.root = root
        return other

    def apply(self, numbers: torch.Tensor) -> torch.Tensor:
        """Apply the root, see `CovarianceRoot`."""
        kernels = self.root.apply(numbers)
        for turns, changed, more in self._turns:
            kernels = _reweighted(kernels, turns, changed, more)
        if not self._interpolations:
            return kernels
        long = made = _long_waves(kernels)
        for average, changed, more in self._interpolations:
            made = changed * made + more * average.symmetrise(made)
        return kernels + _long_waves(made - long)

    def adjoint(self, kernels: torch.Tensor) -> torch.Tensor:
        """Apply the transpose, see `CovarianceRoot`."""
        if self._interpolations:
            long = made = _long_waves(kernels)
            for average, changed, more in reversed(self._interpolations):
                turned = average.adjoint(made.flatten(1)).view(made.shape)
                made = changed * made + more * turned
            kernels = kernels + _long_waves(made - long)
        for turns, changed, more in self._turns:
            kernels = _reweighted(kernels, turns, changed, more)
        return self.root.adjoint(kernels)

    @property
    def variance(self) -> torch.Tensor | None:
        """Variance of each pixel, see `CovarianceRoot`."""
        return None if self._turns or self._interpolations else self.root.variance


def measure_near_symmetry(
    kernel: NDArray[np.float64],
    noise: NDArray[np.float64],
    envelope: NDArray[np.float64],
    like: torch.Tensor,
    *,
    at_all_distances: bool = False,
) -> NearSymmetry:
    """Measure the shares of a kernel, less those of its noise.

    Parameters
    ----------
    kernel : array, (h, w)
        Of least squares.
    noise : array, (draw, h, w)
        As likely as its own.
    envelope : array, (h, w)
        Standard deviation of kernels at each pixel: where noise prevails, pixels count less.
    like : tensor
        Precision and device of the prior's root, which can then use the same averages.
    at_all_distances : bool
        Count pixels over the envelope: else a strong centre, which rotations hardly change, speaks
        for all.
    """
    weight = 1 / (1 + np.square(noise).mean(axis=0) / envelope**2)
    if at_all_distances:
        weight = np.square(weight / envelope)
    images = torch.from_numpy(np.stack([kernel, *noise])).to(like)
    powers = _power(images, images, weight)
    signal = powers[0] - powers[1:].mean()
    if not signal > _MIN_SIGNAL * powers[1:].std():
        return NearSymmetry()
    found = {"C2": 1 / 2, "C4": 3 / 4, "C3": 2 / 3}
    square = kernel.shape[0] == kernel.shape[1]
    for group, turns in _QUARTER_TURNS.items():
        if turns == 2 or square:
            changed = images - _reweighted(images, turns, 0.0, 1.0)
            found[group] = min(_share(images, changed, weight), found[group])
    long = _long_waves(images)
    three, mirror, degrees = _likely_symmetry(long.cpu().numpy(), weight)
    group = f"Cs@{degrees:.3f}"
    for name, likely, chance in (("C3", three, 2 / 3), (group, mirror, 1 / 2)):
        found[name] = chance
        # Making an average that interpolates takes longer than to see that it is not needed.
        if likely < 2 * _USED * chance:
            average = _average(name, kernel.shape, like.dtype, like.device)
            found[name] = min(_share(long, long - average.symmetrise(long), weight), chance)
    return NearSymmetry(found["C2"], found["C3"], found["C4"], found[group], degrees)


def _share(images: torch.Tensor, changed: torch.Tensor, weight: NDArray[np.float64]) -> float:
    """Measure the share of the first image's variance that a group changes.

    The others are its noise; what they may hide by chance is taken to be there.
    """
    powers, outside = (_power(images, other, weight) for other in (images, changed))
    signal = powers[0] - powers[1:].mean()
    if not signal > 0:
        return 1.0
    share = float(max(outside[0] - outside[1:].mean(), outside[1:].std()) / signal)
    return max(share, _MIN_SHARE)


def _reweighted(images: torch.Tensor, turns: int, changed: float, more: float) -> torch.Tensor:
    """Multiply images by a factor, and add a multiple of their average over 2 or 4 turns, exactly.

    The first row and column of an even window have no partner, and stay as they are.
    """
    first_row, first_column = (1 - side % 2 for side in images.shape[-2:])
    inner = images[..., first_row:, first_column:]
    mean = inner + inner.flip(-2, -1)
    if turns == 4:
        mean = mean + mean.rot90(1, (-2, -1))
    found = images.clone()
    found[..., first_row:, first_column:] = changed * inner + more / turns * mean
    return found


def _long_waves(images: torch.Tensor) -> torch.Tensor:
    """Keep what interpolation can turn: waves well below the Nyquist limit."""
    rows, columns = images.shape[-2:]
    kept = _long_wave_filter((rows, columns), images.dtype, images.device)
    filtered: torch.Tensor = torch.fft.irfft2(torch.fft.rfft2(images) * kept, s=(rows, columns))
    return filtered


@lru_cache(maxsize=8)
def _long_wave_filter(
    shape: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """Make the filter of `_long_waves`, which fades between two wave numbers."""
    q = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1]))
    first, last = _LONG_WAVES
    fade = np.clip((last - q) / (last - first), 0, 1)
    return torch.from_numpy(np.sin(np.pi / 2 * fade) ** 2).to(device, dtype)


def _likely_symmetry(
    images: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Estimate the shares that three turns and the best mirror change, on rings about the centre.

    Returns
    -------
    float, float
        Shares of the first image's variance, less that of the others, which are its noise.
    float
        Direction of the mirror in degrees, from 0 to 180.
    """
    rows, columns = images.shape[1:]
    radii = np.arange(1.0, min(rows, columns) // 2)
    turns = 2 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    places = np.stack(
        [
            rows // 2 - np.multiply.outer(radii, np.sin(turns)),
            columns // 2 + np.multiply.outer(radii, np.cos(turns)),
        ]
    )
    image = images[0] * weight**0.5
    rings = np.fft.fft(scipy.ndimage.map_coordinates(image, places, order=3), axis=1)
    power = (np.square(np.abs(rings)) * radii[:, None]).sum(axis=0)
    total, noise = power.sum(), 0.0
    if len(images) > 1:
        noise = total * float(
            np.mean(np.square(images[1:]) * weight) / max(np.mean(image**2), 1e-300)
        )
    signal = max(total - noise, 1e-3 * total, 1e-300)
    three = (total - power[::3].sum() - noise * 2 / 3) / signal
    # Overlap of f(phi) with f(2 angle - phi), for all angles at once.
    overlap = np.fft.fft(np.square(rings) * radii[:, None], axis=1).real.sum(axis=0)
    best = int(overlap.argmax())
    before, here, after = overlap[[best - 1, best, (best + 1) % _DIRECTIONS]]
    curvature = before - 2 * here + after
    shift = (before - after) / 2 / curvature if curvature < 0 else 0.0
    degrees = (-(best + shift) * 180.0 / _DIRECTIONS) % 180.0
    mirror = (total - here - noise) / 2 / signal
    return float(three), float(mirror), float(degrees)


def _power(
    images: torch.Tensor, others: torch.Tensor, weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Multiply images pixel by pixel and sum, (image,)."""
    weights = torch.from_numpy(weight).to(images)
    return np.asarray((images * others * weights).sum(dim=(-2, -1)).cpu().double().numpy())


@lru_cache(maxsize=16)
def _average(
    group: str, shape: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> Symmetrisation:
    """Make the average over a group, which several planes may share."""
    return Symmetrisation(group, shape, 1, dtype=dtype, device=device)
