"""The residual of a map while points are removed and added."""

from __future__ import annotations

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from qpi_kernels.extraction.blind.convolution_model import ConvolutionModel

__all__ = ["SamplerResidual"]

_MIN_ENERGY = 0.15
_PADDING_PX = 8


class SamplerResidual:
    """The residual during a sweep, with room around it so that nothing has to be clipped.

    Parameters
    ----------
    model : ConvolutionModel
        The maps.
    kernels : tensor, (kind, plane, h, w)
        The kernels.
    activation : tensor
        Spectra of the points at the start, by kind.
    fractions : array, (shift, 2)
        Sub-pixel shifts at which a point may be.
    reach : int
        Largest reach that `near` is asked for, in px.

    Attributes
    ----------
    energy : array, (kind, sites)
        Sum of squares that a defect of strength 1 shows.
    usable : array of bool, (kind, sites)
        Whether the image shows enough of a defect there.
    """

    def __init__(
        self,
        model: ConvolutionModel,
        kernels: torch.Tensor,
        activation: torch.Tensor,
        fractions: NDArray[np.float64],
        reach: int,
    ) -> None:
        self._model, self._kernels = model, kernels
        self._margin = 2 * reach
        self._shape = model.kernel_shape
        self._templates = _templates(kernels, fractions)
        self._whole = not fractions.any()
        self._flat = np.ascontiguousarray(self._templates.reshape(len(self._templates), -1).T)
        self._residual = self._padded(model.residual(activation, kernels).numpy())
        # A view: whatever is added to the residual shows in all windows.
        every = sliding_window_view(self._residual, self._shape, axis=(1, 2))
        self._windows = every.transpose(1, 2, 0, 3, 4)
        self._mask = self._padded(model.mask.numpy()[None].astype(np.float32))
        self._mask_windows = sliding_window_view(self._mask[0], self._shape)
        self.energy = model.visible_energy(kernels).numpy().astype(float)
        self.usable = self.energy > _MIN_ENERGY * self.energy.max(axis=(1, 2), keepdims=True)
        squares = np.square(self._templates).sum(axis=1).reshape(len(self._templates), -1)
        self._flat_squares = np.ascontiguousarray(squares.T)
        self._whole_energy = squares.sum(axis=1)
        pixels = model.visible_energy(torch.ones(1, 1, *self._shape)).numpy()[0]
        around = [(self._margin, self._margin), (self._margin, self._margin), (0, 0)]
        self._padded_energy = np.pad(self.energy.transpose(1, 2, 0), around)
        self._padded_usable = np.pad(self.usable.transpose(1, 2, 0), around)
        self._all_shown = np.pad(pixels > np.prod(self._shape) - 0.5, around[:2])

    def image(self) -> NDArray[np.float32]:
        """Copy the present residual, (plane, rows, columns)."""
        top, left = (size - 1 + self._margin for size in self._shape)
        height, width = self._model.image_shape
        return self._residual[:, top : top + height, left : left + width].copy()

    def correlation(self) -> NDArray[np.float64]:
        """Correlate the present residual with the kernel of each kind, (kind, sites)."""
        spectrum = self._model.kernel_spectrum(self._kernels)
        return self._model.correlate(torch.from_numpy(self.image()), spectrum).numpy().astype(float)

    def near(
        self, site: tuple[int, int], reach: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_]]:
        """Correlate the present residual with the shifted kernels around a site.

        Returns
        -------
        correlation, energy : array, (sites, kinds * shifts)
            Correlation of the residual with the kernel, and of the kernel with itself.
        usable : array of bool, (sites, kinds * shifts)
            See the attribute.
        """
        # A kernel at a site starts at the same index, plus the reach, of the padded residual.
        top, left = site[0] + self._margin - reach, site[1] + self._margin - reach
        side = 2 * reach + 1
        sites = side * side
        bottom, right = top + side, left + side
        correlation = self._windows[top:bottom, left:right].reshape(sites, -1) @ self._flat
        usable = self._padded_usable[top:bottom, left:right].reshape(sites, -1)
        if self._whole:
            energy = self._padded_energy[top:bottom, left:right].reshape(sites, -1)
            return correlation, energy, usable
        shifts = self._flat.shape[1] // usable.shape[1]
        if self._all_shown[top:bottom, left:right].all():
            energy = np.broadcast_to(self._whole_energy, correlation.shape)
        else:
            # Over an edge a shift moves much of a kernel: the energy is not that at the pixel.
            masks = self._mask_windows[top:bottom, left:right].reshape(sites, -1)
            energy = masks @ self._flat_squares
        return correlation, energy, usable.repeat(shifts, axis=1)

    def add(self, row: int, col: int, choice: int, strength: float) -> None:
        """Add a kernel at a site to the residual; ``choice`` is the index of kind and shift."""
        height, width = self._shape
        top, left = row + self._margin, col + self._margin
        box = np.s_[:, top : top + height, left : left + width]
        self._residual[box] += np.float32(strength) * self._templates[choice] * self._mask[box]

    def _padded(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pad images by as much as a kernel around any site reaches out of them."""
        sides = [(size - 1 + self._margin,) * 2 for size in self._shape]
        return np.pad(images, [(0, 0), *sides])


def _templates(kernels: torch.Tensor, fractions: NDArray[np.float64]) -> NDArray[np.float32]:
    """Shift kernels by fractions of a pixel, (kind * shift, plane, h, w)."""
    if not fractions.any():
        return kernels.numpy().copy()
    # Padded, so that values shifted over one edge do not come back at the other.
    shape = tuple(size + _PADDING_PX for size in kernels.shape[-2:])
    spectrum = np.fft.rfft2(kernels.numpy(), s=shape)
    waves = [
        np.exp(-2j * np.pi * np.outer(fractions[:, axis], frequencies))
        for axis, frequencies in enumerate((np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1])))
    ]
    moved = spectrum[:, None] * (waves[0][:, None, :, None] * waves[1][:, None, None, :])
    images = np.fft.irfft2(moved, s=shape)[..., : kernels.shape[-2], : kernels.shape[-1]]
    images = images.reshape(-1, *kernels.shape[1:])
    return np.ascontiguousarray(images, np.float32)
