"""Another kind of defect under one label: the first principal component about the marks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.ndimage
import scipy.sparse.linalg
from numpy.typing import NDArray

from qpi_kernels.extraction.residual_checks.marked_residual import MarkedResidual
from qpi_kernels.extraction.residual_checks.transforms import Image, transform, transform_back

__all__ = ["PatchComponent"]

# Share of the kernel's energy within a patch, and its smallest radius in pixels.
_ENERGY, _MIN_RADIUS = 0.8, 4
_MIN_MARKS = 5
# Marks of which all components are computed at once; beyond, the first is iterated for.
_MAX_DENSE, _TOLERANCE = 300, 1e-3
# Avoids a division by zero in single precision.
_TINY = 1e-30


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
    def clearest(cls, residual: MarkedResidual, *whites: Image) -> list[PatchComponent | None]:
        """Find the component that explains most beyond chance, of all kinds; None without any.

        Parameters
        ----------
        residual : MarkedResidual
            The marks.
        *whites : array, (rows, columns)
            Whitened residuals, each with a component of its own.
        """
        patches = [_Patches.of(residual, number) for number in range(len(residual.kernels))]
        some = [one for one in patches if one is not None]
        return [
            max(
                (one.component(white) for one in some),
                key=lambda one: one.chi2 - one.chance,
                default=None,
            )
            for white in whites
        ]


@dataclass(frozen=True, eq=False)
class _Patches:
    """Patches about the marks of a kind.

    Parameters
    ----------
    gain : array, (rows, columns // 2 + 1)
        Factors on the waves of a whitened residual.
    places : array of int, (n, p)
        Pixels of each patch, in the flattened mask.
    mask : array of bool, (rows, columns)
        True where a pixel counts, with a margin around the map.
    reach : int
        Width of the margin.
    strength : array, (n,)
        Of the marks.
    in_time : array of int, (n,)
        The marks in the order of the scan.
    """

    gain: Image
    places: NDArray[np.intp]
    mask: NDArray[np.bool_]
    reach: int
    strength: Image
    in_time: NDArray[np.intp]

    @classmethod
    def of(cls, residual: MarkedResidual, number: int) -> _Patches | None:
        """Place the patches; None for a kind of few marks."""
        nearest = np.rint(residual.defects.positions).astype(int)
        inside = ((nearest >= 0) & (nearest < np.array(residual.shape))).all(axis=1)
        inside &= (residual.kind == number) & (residual.defects.strength != 0)
        if inside.sum() < _MIN_MARKS:
            return None
        offsets, reach = _patch(residual.kernels[number])
        mask = np.pad(residual.mask, reach)
        centres = nearest[inside] + reach
        rows, columns = (centres[:, axis, None] + offsets[:, axis] for axis in (0, 1))
        return cls(
            _gain(residual, number),
            np.ravel_multi_index((rows, columns), mask.shape),
            mask,
            reach,
            residual.defects.strength[inside],
            residual.defects.positions[inside, 0].argsort(),
        )

    def component(self, white: Image) -> PatchComponent:
        """Find the first principal component in a whitened residual."""
        # Another kind scatters the same waves: those that the kernel has.
        filtered = np.pad(_filtered(white, self.gain), self.reach)
        patches = filtered.ravel()[self.places] / self.strength[:, None]
        patches = patches - patches.mean(axis=0)
        amounts = _first_component(patches)
        component = np.outer(amounts * self.strength, amounts @ patches)
        total = np.bincount(self.places.ravel(), component.ravel(), minlength=self.mask.size)
        inner = slice(self.reach, -self.reach)
        whole = np.where(self.mask, total.reshape(self.mask.shape), 0.0)
        shown = _filtered(whole[inner, inner], self.gain)
        energy = max(float(np.square(shown).sum()), _TINY)
        numbers = self.places.shape[1] * np.square(self.gain).sum() ** 2
        numbers /= (self.gain**4).sum() * self.gain.size
        chance = (np.sqrt(len(amounts)) + np.sqrt(numbers)) ** 2
        apart, minority = _apart(np.sort(amounts))
        return PatchComponent(
            float((shown * white).sum()) ** 2 / energy,
            float(chance),
            apart,
            _apart(amounts[self.in_time])[0],
            minority,
        )


def _first_component(patches: Image) -> Image:
    """Compute the amounts of the first principal component in patches (n, p), (n,)."""
    count = len(patches)
    if count <= _MAX_DENSE:
        return np.asarray(np.linalg.eigh(patches @ patches.T)[1][:, -1])
    product = scipy.sparse.linalg.LinearOperator(
        (count, count), matvec=lambda vector: patches @ (patches.T @ vector), dtype=patches.dtype
    )
    start = patches @ patches[np.square(patches).sum(axis=1).argmax()]
    found = scipy.sparse.linalg.eigsh(product, k=1, v0=start, tol=_TOLERANCE)[1]
    return np.asarray(found[:, 0], np.float64)


def _filtered(image: Image, gain: Image) -> Image:
    """Multiply the spectrum of an image."""
    shape = (image.shape[0], image.shape[1])
    return transform_back(transform(image, shape) * gain, shape, shape)


def _gain(residual: MarkedResidual, number: int) -> Image:
    """Compute the smoothed amplitude of a kernel over that of the noise, at most 1."""
    kernel = residual.kernels[number].astype(np.float32)
    amplitude = np.abs(scipy.fft.fft2(kernel, residual.shape))
    widths = [max(2.0, 0.5 * n / k) for n, k in zip(residual.shape, residual.window, strict=True)]
    smooth = scipy.ndimage.gaussian_filter(amplitude, widths, mode="wrap")
    gain = smooth[:, : residual.shape[1] // 2 + 1] * residual.inverse_root
    return np.asarray(gain / max(float(gain.max()), _TINY))


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
