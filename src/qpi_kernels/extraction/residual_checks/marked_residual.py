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
from qpi_kernels.extraction.residual_checks.transforms import (
    Image,
    Spectra,
    half_weights,
    transform,
    transform_back,
)
from qpi_kernels.linalg.transform_length import fast_length
from qpi_kernels.result import KernelResult

__all__ = ["MarkedResidual", "explained_chi2", "usual_chi2"]

_MIN_EIGENVALUE = 1e-6
# Power below this share of its mean is not relied on: there a kernel's own small errors show.
_MIN_POWER = 0.1
# Avoids a division by zero in single precision.
_TINY = 1e-30
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
        whole = scipy.fft.fft2(np.asarray(values / scale, np.float32))
        power = np.square(np.abs(whole)) / count
        window = (kernels.shape[-2], kernels.shape[-1])
        noise = NoiseModel(power, window, mask=found.mask)
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
        number = {kind: index for index, kind in enumerate(self.defects.kinds)}
        return np.array([number[str(one)] for one in self.defects.kind])

    @cached_property
    def power(self) -> Image:
        """Power of the noise at the wave vectors of `numpy.fft.rfft2`, (rows, columns // 2 + 1).

        White unless the residual's spectrum differs from that by more than chance; the residual
        whitened by it has unit variance.
        """
        rows, columns = self.shape
        shape = np.ones((rows, columns // 2 + 1))
        if self.noise.coloured:
            known = self.noise.power[:, : columns // 2 + 1]
            shape = np.maximum(known, _MIN_POWER * self.noise.power.mean())
        measured = np.square(np.abs(transform(self.values, self.shape))) * half_weights(columns)
        level = float((measured / shape).sum()) / (self.values.size * max(int(self.mask.sum()), 1))
        return np.asarray(shape * max(level, 1e-300), np.float32)

    @cached_property
    def inverse_root(self) -> Image:
        """Inverse square root of the power, (rows, columns // 2 + 1)."""
        return np.asarray(1.0 / np.sqrt(self.power))

    @cached_property
    def white(self) -> Image:
        """Whitened residual, (rows, columns)."""
        return self.whiten(self.values)

    def whiten(self, images: Image) -> Image:
        """Leave out what does not count of images (..., rows, columns), and whiten them."""
        if not self.noise.coloured:
            return np.asarray(images * (self.mask * self.inverse_root[0, 0]), np.float32)
        spectrum = transform(images * self.mask, self.shape) * self.inverse_root
        return transform_back(spectrum, self.shape, self.shape)

    @cached_property
    def extent(self) -> tuple[int, int]:
        """Size to which arrays are padded, so that no window wraps around."""
        rows, columns = (fast_length(n + k) for n, k in zip(self.shape, self.window, strict=True))
        return rows, columns

    @cached_property
    def wave_vectors(self) -> tuple[Image, Image]:
        """Wave vectors in radians per pixel, (rows, 1) and (1, columns) of spectra."""
        rows = 2 * np.pi * scipy.fft.fftfreq(self.extent[0])
        return rows[:, None], 2 * np.pi * scipy.fft.rfftfreq(self.extent[1])[None]

    @cached_property
    def _centre(self) -> Spectra:
        """Factors that move the centre of a window to the first pixel."""
        down, across = self.wave_vectors
        height, width = self.window
        factors = np.exp(1j * down * (height // 2)) * np.exp(1j * across * (width // 2))
        return np.asarray(factors, np.complex64)

    def spectra(self, kernels: Image) -> Spectra:
        """Transform windows (..., h, w) about their centres."""
        return np.asarray(transform(kernels, self.extent) * self._centre)

    @cached_property
    def derivatives(self) -> Spectra:
        """Change of a mark's wave with strength, row and column, (3, kind, rows, columns)."""
        down, across = (-1j * one.astype(np.complex64) for one in self.wave_vectors)
        kernels = self.spectra(self.kernels)
        return np.stack([kernels, down * kernels, across * kernels])

    @cached_property
    def phases(self) -> tuple[Spectra, Spectra]:
        """Factors of a shift to each mark, (N, rows) and (N, columns) of spectra."""
        down, across = (
            np.exp(-1j * np.outer(self.defects.positions[:, axis], wave)).astype(np.complex64)
            for axis, wave in enumerate(self.wave_vectors)
        )
        return down, across

    def waves(self, weights: Image | None = None, power: int = 1) -> Spectra:
        """Transform the marks of each kind, (kind, rows, columns).

        Parameters
        ----------
        weights : array, (N,), optional
            Factor on each mark's strength.
        power : int
            Of the strengths.
        """
        down, across = self.phases
        given = self.defects.strength**power * (1.0 if weights is None else weights)
        strength = given.astype(np.complex64)[:, None]
        chosen = [self.kind == number for number in range(len(self.kernels))]
        return np.stack([(down[one] * strength[one]).T @ across[one] for one in chosen])

    @cached_property
    def marks(self) -> Spectra:
        """Waves of all marks, (kind, rows, columns)."""
        return self.waves()

    def pattern(self, spectra: Spectra, marks: Spectra | None = None) -> Image:
        """Put a window of its kind at every mark.

        Parameters
        ----------
        spectra : array, (..., kind, rows, columns)
            As of `spectra`.
        marks : array, (kind, rows, columns), optional
            From `waves`.

        Returns
        -------
        array, (..., rows, columns)
            The images, not yet whitened.
        """
        total = (spectra * (self.marks if marks is None else marks)).sum(axis=-3)
        return transform_back(total, self.extent, self.shape)

    @cached_property
    def shown(self) -> Image:
        """Share of the energy of a wave from each pixel on counted pixels, (kind, *extent)."""
        squares = np.square(self.kernels)
        total = np.maximum(squares.sum(axis=(1, 2), keepdims=True), _TINY)
        counted = transform(self.mask.astype(np.float32), self.extent)
        spectra = counted * self.spectra(squares / total).conj()
        return transform_back(spectra, self.extent, self.extent).clip(0.0, 1.0)

    @cached_property
    def visible(self) -> Image:
        """Share of each mark's wave, in energy, on counted pixels, (N,)."""
        rows, columns = (np.rint(self.defects.positions).astype(int) % np.array(self.extent)).T
        return np.asarray(self.shown[self.kind, rows, columns])

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
        measured, weight = (
            np.square(np.abs(transform(one, self.shape))) for one in (self.white, patterns)
        )
        energy = np.maximum(weight.sum(axis=(1, 2)), _TINY)
        ratio = (weight * measured).sum(axis=(1, 2)) / energy
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
