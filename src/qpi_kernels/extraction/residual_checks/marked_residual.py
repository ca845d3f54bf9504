"""`MarkedResidual`: the whitened residual of a plane, with the patterns that marks could add."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.bayes.noise_model import NoiseModel
from qpi_kernels.extraction.refine.residual import residual_map
from qpi_kernels.result import KernelResult

__all__ = ["Image", "MarkedResidual", "Spectra", "explained_chi2", "usual_chi2"]

Image = NDArray[np.float64]
Spectra = NDArray[np.complex128]

_MIN_EIGENVALUE = 1e-6
# Power below this share of its mean is not relied on: there a kernel's own small errors show.
_MIN_POWER = 0.1
# A residual below this share of the kernel's largest value is rounding.
_MIN_RESIDUAL = 1e-6


@dataclass(frozen=True, eq=False)
class MarkedResidual:
    """Residual of the plane with the clearest kernel, and the marks that it belongs to.

    Parameters
    ----------
    values : array, (rows, columns)
        Observation less reconstruction, zero where a pixel does not count, in units of the noise.
    mask : array of bool, (rows, columns)
        True where a pixel counts.
    kernels : array, (kind, h, w)
        In the same units.
    defects : Defects
        Marks, in pixels.
    noise : NoiseModel
        Spectrum of the residual.
    """

    values: Image
    mask: NDArray[np.bool_]
    kernels: Image
    defects: Defects
    noise: NoiseModel

    @classmethod
    def of(
        cls, result: KernelResult, mask: NDArray[np.bool_] | None = None
    ) -> MarkedResidual | None:
        """Take the plane with the largest kernels over their noise; None if either is zero."""
        found = residual_map(result, mask, planes=1)
        count = max(int(found.mask.sum()), 1)
        values = np.where(found.mask, found.values[0] - found.values[0].sum() / count, 0.0)
        scale = float(np.sqrt(np.square(values).sum() / count))
        kernels = np.stack([planes[0] for planes in found.kernels.values()])
        if scale <= _MIN_RESIDUAL * float(np.abs(kernels).max(initial=0.0)) or not kernels.any():
            return None
        power = np.square(np.abs(scipy.fft.fft2(values / scale))) / count
        window = (kernels.shape[-2], kernels.shape[-1])
        noise = NoiseModel(power, window)
        return cls(values / scale, found.mask, kernels / scale, result.defects, noise)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the map."""
        rows, columns = self.values.shape
        return rows, columns

    @property
    def window(self) -> tuple[int, int]:
        """(h, w) of the kernels."""
        height, width = self.kernels.shape[-2:]
        return height, width

    @cached_property
    def kind(self) -> NDArray[np.intp]:
        """Number of each mark's kind, (N,)."""
        return np.array([self.defects.kinds.index(str(one)) for one in self.defects.kind])

    @cached_property
    def power(self) -> Image:
        """Power of the noise at the wave vectors of `numpy.fft.rfft2`, (rows, columns // 2 + 1).

        White unless the residual's spectrum differs from that by more than chance; the residual
        whitened by it has unit variance.
        """
        measured = np.square(np.abs(scipy.fft.fft2(self.values))) / max(int(self.mask.sum()), 1)
        shape = np.ones(self.shape)
        if self.noise.coloured:
            shape = np.maximum(self.noise.power, _MIN_POWER * self.noise.power.mean())
        full = shape * max(float(np.mean(measured / shape)), 1e-300)
        return np.asarray(full[:, : self.shape[1] // 2 + 1])

    @cached_property
    def white(self) -> Image:
        """Whitened residual, (rows, columns)."""
        return self.whiten(self.values)

    def whiten(self, images: Image) -> Image:
        """Leave out what does not count of images (..., rows, columns), and whiten them."""
        spectrum = scipy.fft.rfft2(images * self.mask) / np.sqrt(self.power)
        return np.asarray(scipy.fft.irfft2(spectrum, self.shape))

    @cached_property
    def extent(self) -> tuple[int, int]:
        """Size to which arrays are padded, so that no window wraps around."""
        rows, columns = (
            scipy.fft.next_fast_len(n + k, real=True)
            for n, k in zip(self.shape, self.window, strict=True)
        )
        return rows, columns

    @cached_property
    def wave_vectors(self) -> tuple[Image, Image]:
        """Wave vectors in radians per pixel, (rows, 1) and (1, columns) of spectra."""
        rows = 2 * np.pi * scipy.fft.fftfreq(self.extent[0])
        return rows[:, None], 2 * np.pi * scipy.fft.rfftfreq(self.extent[1])[None]

    def spectra(self, kernels: Image) -> Spectra:
        """Transform windows (..., h, w) about their centres."""
        down, across = self.wave_vectors
        height, width = self.window
        centre = np.exp(1j * (down * (height // 2) + across * (width // 2)))
        return np.asarray(scipy.fft.rfft2(kernels, self.extent) * centre)

    @cached_property
    def kernel_spectra(self) -> Spectra:
        """Spectra of the kernels, (kind, rows, columns)."""
        return self.spectra(self.kernels)

    @cached_property
    def derivatives(self) -> tuple[Spectra, Spectra, Spectra]:
        """Change of a mark's wave with its strength, row and column, each (kind, rows, columns)."""
        down, across = self.wave_vectors
        return (
            self.kernel_spectra,
            -1j * down * self.kernel_spectra,
            -1j * across * self.kernel_spectra,
        )

    def pattern(self, spectra: Spectra, weights: Image | None = None) -> Image:
        """Put a window of its kind at every mark.

        Parameters
        ----------
        spectra : array, (kind, rows, columns)
            As of `spectra`.
        weights : array, (N,), optional
            Factor on each mark's strength.

        Returns
        -------
        array, (rows, columns)
            The image, not yet whitened.
        """
        down, across = self.wave_vectors
        strength = self.defects.strength * (1.0 if weights is None else weights)
        total = np.zeros(spectra.shape[1:], complex)
        for number, spectrum in enumerate(spectra):
            chosen = self.kind == number
            rows, columns = self.defects.positions[chosen].T
            waves = np.exp(-1j * down * rows) * strength[chosen]
            total += spectrum * (waves @ np.exp(-1j * across.T * columns).T)
        return np.asarray(scipy.fft.irfft2(total, self.extent)[: self.shape[0], : self.shape[1]])

    @cached_property
    def visible(self) -> Image:
        """Share of each mark's wave, in energy, on counted pixels, (N,)."""
        counted = scipy.fft.rfft2(self.mask.astype(float), self.extent)
        shown = np.zeros(len(self.defects))
        squares = np.square(self.kernels)
        near = np.rint(self.defects.positions).astype(int) % np.array(self.extent)
        for number, spectrum in enumerate(self.spectra(squares)):
            chosen = self.kind == number
            energy = scipy.fft.irfft2(counted * spectrum.conj(), self.extent)
            total = max(float(squares[number].sum()), 1e-300)
            shown[chosen] = energy[tuple(near[chosen].T)] / total
        return shown.clip(0.0, 1.0)

    def colour(self, patterns: Image) -> float:
        """Measure the variance of whitened patterns' scores over that of white noise, at least 1.

        The whitened residual may still hold waves of the kernel's own wavelength, say from beyond
        the window: its periodogram tells the error of a score (as of the sandwich estimator of a
        variance).

        Parameters
        ----------
        patterns : array, (n, rows, columns)
            Whitened.
        """
        measured = np.square(np.abs(scipy.fft.rfft2(self.white)))
        weight = np.square(np.abs(scipy.fft.rfft2(patterns)))
        ratio = (weight * measured).sum(axis=(1, 2)) / np.maximum(weight.sum(axis=(1, 2)), 1e-300)
        level = float(measured.mean())
        return max(1.0, float(ratio.max()) / level) if level > 0 else 1.0


def explained_chi2(scores: Image, covariance: Image) -> Image:
    """Sum squared scores of unit variance: what a linear change of the model would explain.

    Parameters
    ----------
    scores : array, (..., n)
        Products of the whitened residual with the model's derivatives.
    covariance : array, (..., n, n)
        Of the scores, were the model right.

    Returns
    -------
    array, (...)
        Distributed as chi-squared of n, or of fewer where directions depend on each other.
    """
    values, vectors = np.linalg.eigh(covariance)
    kept = values > _MIN_EIGENVALUE * values.max(axis=-1, keepdims=True)
    rotated = np.einsum("...ij,...i->...j", vectors, scores)
    return np.asarray(np.where(kept, rotated**2 / np.where(kept, values, 1.0), 0.0).sum(axis=-1))


def usual_chi2(freedom: float, sigmas: float) -> float:
    """Return the chi-squared that chance exceeds as a normal number exceeds so many deviations.

    After E. B. Wilson and M. M. Hilferty, PNAS 17, 684 (1931).
    """
    share = 2.0 / (9.0 * freedom)
    return float(freedom * (1.0 - share + sigmas * np.sqrt(share)) ** 3)
