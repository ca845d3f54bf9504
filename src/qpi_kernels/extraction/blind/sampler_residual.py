"""The residual of a map while points are taken out of it and put back."""

from __future__ import annotations

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from qpi_kernels.extraction.blind.convolution_model import ConvolutionModel

__all__ = ["SamplerResidual"]

_MIN_REACH = 0.15
_ROOM = 8


class SamplerResidual:
    """The residual during a sweep, with room around it so that nothing has to be clipped.

    Parameters
    ----------
    seen : ConvolutionModel
        The maps.
    kernels : tensor, (kind, plane, h, w)
        The kernels.
    activation : tensor
        Spectra of the points at the start, by kind.
    fractions : array, (shift, 2)
        Sub-pixel shifts at which a point may be.
    reach : int
        How far around a site `near` may be asked for, in px.

    Attributes
    ----------
    norm : array, (kind, sites)
        Sum of squares that a defect of strength 1 shows.
    usable : array of bool, (kind, sites)
        Whether the image shows enough of a defect there.
    """

    def __init__(
        self,
        seen: ConvolutionModel,
        kernels: torch.Tensor,
        activation: torch.Tensor,
        fractions: NDArray[np.float64],
        reach: int,
    ) -> None:
        self._seen, self._kernels, self._reach = seen, kernels, reach
        self._shape = seen.kernel_shape
        self._templates = _templates(kernels, fractions)
        self._flat = np.ascontiguousarray(self._templates.reshape(len(self._templates), -1).T)
        self._left = seen.residual(activation, kernels)
        self._residual = self._padded(self._left.numpy())
        # A view: what is added to the residual is seen in all windows.
        every = sliding_window_view(self._residual, self._shape, axis=(1, 2))
        self._windows = every.transpose(1, 2, 0, 3, 4)
        self._mask = self._padded(seen.mask.numpy()[None].astype(np.float32))
        self.norm = seen.reach(kernels).numpy().astype(float)
        self.usable = self.norm > _MIN_REACH * self.norm.max(axis=(1, 2), keepdims=True)
        energy = np.square(self._flat).sum(axis=0, dtype=float).reshape(len(kernels), -1)
        whole = kernels.square().sum(dim=(1, 2, 3)).numpy()[:, None].clip(1e-30)
        self._energies = energy / whole
        around = [(0, 0), (reach, reach), (reach, reach)]
        self._near_norm, self._near_usable = np.pad(self.norm, around), np.pad(self.usable, around)

    def correlation(self) -> NDArray[np.float64]:
        """Residual at the start against the kernel of each kind at each whole site."""
        spectrum = self._seen.kernel_spectrum(self._kernels)
        return self._seen.correlate(self._left, spectrum).numpy().astype(float)

    def near(
        self, site: tuple[int, int], reach: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Look at the sites around one.

        Returns
        -------
        correlation, norm : array, (sites, kinds * shifts)
            Of the present residual with the kernel, and of the kernel itself.
        usable : array of bool, (sites, kinds * shifts)
            See the attribute.
        """
        # A kernel at a site starts at the same index, plus the reach, of the padded residual.
        top, left = (at + self._reach - reach for at in site)
        side = 2 * reach + 1
        windows = self._windows[top : top + side, left : left + side]
        correlation = windows.reshape(side * side, -1) @ self._flat
        box = np.s_[:, top : top + side, left : left + side]
        kinds, shifts = self._energies.shape
        norm = self._near_norm[box].reshape(kinds, -1).T[..., None] * self._energies
        usable = self._near_usable[box].reshape(kinds, -1).T.repeat(shifts, axis=1)
        return correlation.astype(float), norm.reshape(len(norm), -1), usable

    def add(self, row: int, col: int, choice: int, strength: float) -> None:
        """Add a kernel at a site to the residual; the choice is of kind and shift."""
        height, width = self._shape
        top, left = row + self._reach, col + self._reach
        box = np.s_[:, top : top + height, left : left + width]
        self._residual[box] += np.float32(strength) * self._templates[choice] * self._mask[box]

    def _padded(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        sides = [(size - 1 + self._reach,) * 2 for size in self._shape]
        return np.pad(images, [(0, 0), *sides])


def _templates(kernels: torch.Tensor, fractions: NDArray[np.float64]) -> NDArray[np.float32]:
    """Kernels moved by fractions of a pixel, (kind * shift, plane, h, w)."""
    if not fractions.any():
        return kernels.numpy().copy()
    # Room, so that what a shift moves over one edge does not come back at the other.
    shape = tuple(size + _ROOM for size in kernels.shape[-2:])
    spectrum = np.fft.rfft2(kernels.numpy(), s=shape)
    waves = [
        np.exp(-2j * np.pi * np.outer(fractions[:, axis], frequencies))
        for axis, frequencies in enumerate((np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1])))
    ]
    moved = spectrum[:, None] * (waves[0][:, None, :, None] * waves[1][:, None, None, :])
    images = np.fft.irfft2(moved, s=shape)[..., : kernels.shape[-2], : kernels.shape[-1]]
    images = images.reshape(-1, *kernels.shape[1:])
    return np.ascontiguousarray(images, np.float32)
