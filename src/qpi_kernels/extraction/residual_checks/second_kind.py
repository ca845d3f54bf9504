"""Another kind of defect under one label: the first principal component about the marks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

from qpi_kernels.extraction.residual_checks.marked_residual import Image, MarkedResidual

__all__ = ["PatchComponent"]

# Share of the kernel's energy within a patch, and its smallest radius in pixels.
_ENERGY, _MIN_RADIUS = 0.8, 4
_MIN_MARKS = 5


@dataclass(frozen=True, eq=False)
class PatchComponent:
    """First principal component of the residual's patches about the marks of a kind.

    Parameters
    ----------
    chi2 : float
        Chi-squared that it explains.
    chance : float
        What the first component of noise explains, (sqrt(n) + sqrt(p))^2 for n marks and p
        independent numbers in a patch (Marchenko and Pastur 1967).
    apart : float
        Share of the amounts' variance that lies between two groups of marks, at best; 0.64 for
        normal ones.
    apart_in_time : float
        The same for groups that the scan reached one after the other.
    minority : float
        Share of the marks in the smaller group.
    """

    chi2: float
    chance: float
    apart: float
    apart_in_time: float
    minority: float

    @classmethod
    def clearest(cls, residual: MarkedResidual, white: Image) -> PatchComponent | None:
        """Find the component that explains most beyond chance, of all kinds; None without any."""
        found = [cls._of_kind(residual, white, number) for number in range(len(residual.kernels))]
        return max(
            (one for one in found if one is not None),
            key=lambda one: one.chi2 - one.chance,
            default=None,
        )

    @classmethod
    def _of_kind(cls, residual: MarkedResidual, white: Image, number: int) -> PatchComponent | None:
        """Find the component of a kind in a whitened residual."""
        nearest = np.rint(residual.defects.positions).astype(int)
        inside = ((nearest >= 0) & (nearest < np.array(residual.shape))).all(axis=1)
        inside &= (residual.kind == number) & (residual.defects.strength != 0)
        if inside.sum() < _MIN_MARKS:
            return None
        # Another kind scatters the same waves: those that the kernel has.
        gain = _gain(residual, number)
        filtered = scipy.fft.irfft2(scipy.fft.rfft2(white) * gain, residual.shape)
        offsets, reach = _patch(residual.kernels[number])
        places = nearest[inside] + reach
        strength = residual.defects.strength[inside]
        rows, columns = (places[:, axis, None] + offsets[:, axis] for axis in (0, 1))
        patches = np.pad(filtered, reach)[rows, columns] / strength[:, None]
        patches = patches - patches.mean(axis=0)
        amounts = np.linalg.eigh(patches @ patches.T)[1][:, -1]
        shown = np.pad(np.zeros(residual.shape), reach)
        np.add.at(shown, (rows, columns), np.outer(amounts * strength, amounts @ patches))
        shown = shown[reach:-reach, reach:-reach] * residual.mask
        shown = scipy.fft.irfft2(scipy.fft.rfft2(shown) * gain, residual.shape)
        energy = max(float(np.square(shown).sum()), 1e-300)
        numbers = len(offsets) * np.square(gain).sum() ** 2 / (gain**4).sum() / gain.size
        chance = (np.sqrt(len(amounts)) + np.sqrt(numbers)) ** 2
        time = residual.defects.positions[inside, 0].argsort()
        apart, minority = _apart(np.sort(amounts))
        return cls(
            float((shown * white).sum()) ** 2 / energy,
            float(chance),
            apart,
            _apart(amounts[time])[0],
            minority,
        )


def _gain(residual: MarkedResidual, number: int) -> Image:
    """Compute the smoothed amplitude of a kernel over that of the noise, at most 1."""
    amplitude = np.abs(scipy.fft.fft2(residual.kernels[number], residual.shape))
    widths = [max(2.0, 0.5 * n / k) for n, k in zip(residual.shape, residual.window, strict=True)]
    smooth = scipy.ndimage.gaussian_filter(amplitude, widths, mode="wrap")
    gain = smooth[:, : residual.shape[1] // 2 + 1] / np.sqrt(residual.power)
    return np.asarray(gain / max(float(gain.max()), 1e-300))


def _patch(kernel: Image) -> tuple[NDArray[np.intp], int]:
    """List the pixels of a disc that holds most of a kernel's energy, and its radius."""
    middle = np.array(kernel.shape) // 2
    rows, columns = np.indices(kernel.shape)
    distance = np.hypot(rows - middle[0], columns - middle[1]).ravel()
    order = distance.argsort(kind="stable")
    energy = np.square(kernel).ravel()[order].cumsum()
    reached = distance[order][np.searchsorted(energy, _ENERGY * energy[-1])]
    largest = max(min(kernel.shape) // 2 - 1, 1)
    radius = min(max(int(reached), _MIN_RADIUS), largest)
    inside = np.argwhere(distance.reshape(kernel.shape) <= radius) - middle
    return inside, radius


def _apart(amounts: Image) -> tuple[float, float]:
    """Split amounts of mean zero in two at the best place, in their order.

    Returns
    -------
    tuple of float
        Share of the variance between the two parts, and the smaller part's share of the numbers.
    """
    count = len(amounts)
    first = np.arange(2, count - 1)
    total = amounts.cumsum()
    between = total[first - 1] ** 2 / first + (total[-1] - total[first - 1]) ** 2 / (count - first)
    best = int(between.argmax())
    size = int(first[best])
    return float(between[best] / np.square(amounts).sum()), min(size, count - size) / count
