"""The forward model: the one place that knows Y = sum_t A_t (*) M_t + background + noise."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.defects.activation import activation_map

__all__ = ["Background", "ForwardModel"]

BackgroundKind = Literal["none", "offset", "plane", "rows"]


class ForwardModel:
    r"""Convolution of kernels with the activation maps of their defects.

    .. math:: Y(r) = \sum_t \sum_{i \in t} s_i A_t(r - r_i)

    for ``r`` in the image; the kernel of each kind ``t`` lives on a finite window with its centre
    at index ``(h//2, w//2)``. Boundaries are linear: defects outside the image still send waves
    into it, nothing wraps around. Positions are sub-pixel. Leading dimensions (biases) are a
    batch.

    Parameters
    ----------
    defects : Defects
        Positions in pixels of the image, kinds and strengths.
    image_shape, kernel_shape : tuple of int
        (rows, columns).
    dtype : torch.dtype
        float32 or float64.
    device : torch.device
        Where the arrays live.
    """

    def __init__(
        self,
        defects: Defects,
        image_shape: tuple[int, int],
        kernel_shape: tuple[int, int],
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        self.defects = defects
        self.kinds = defects.kinds
        self.image_shape = image_shape
        self.kernel_shape = kernel_shape
        self.dtype = dtype
        self.device = torch.device(device)
        extent = [n + k - 1 for n, k in zip(image_shape, kernel_shape, strict=True)]
        self.fft_shape = tuple(scipy.fft.next_fast_len(n, real=True) for n in extent)
        maps = np.stack([self._extended_activation(defects.of_kind(kind)) for kind in self.kinds])
        self._activation = torch.from_numpy(maps)
        spectrum = torch.fft.rfft2(self._activation, s=self.fft_shape)
        # A linear convolution's first kh-1 rows and kw-1 columns lie before the image: this phase
        # moves the image to index (0, 0), so that cropping is slicing.
        spectrum = spectrum * self._phase()
        self._spectrum = spectrum.to(
            self.device, torch.complex64 if dtype == torch.float32 else torch.complex128
        )

    def _extended_activation(self, defects: Defects) -> NDArray[np.float64]:
        """Activation on all pixels from which a kernel reaches into the image."""
        height, width = (
            n + k - 1 for n, k in zip(self.image_shape, self.kernel_shape, strict=True)
        )
        return activation_map(defects.positions, defects.strength, (height, width), self._origin)

    @property
    def _origin(self) -> tuple[int, int]:
        rows, cols = (k // 2 - (k - 1) for k in self.kernel_shape)
        return rows, cols

    def _phase(self) -> torch.Tensor:
        phases = []
        for axis, frequencies in enumerate((scipy.fft.fftfreq, scipy.fft.rfftfreq)):
            q = 2 * np.pi * frequencies(self.fft_shape[axis])
            phases.append(np.exp(1j * q * (self.kernel_shape[axis] - 1)))
        return torch.from_numpy(phases[0][:, None] * phases[1][None, :])

    @property
    def activation(self) -> torch.Tensor:
        """Activation maps (kind, rows, columns) of the image and as far around it as kernels reach.

        float64, on the CPU.
        """
        return self._activation

    def apply(self, kernels: torch.Tensor) -> torch.Tensor:
        """Predict images from kernels.

        Parameters
        ----------
        kernels : tensor, (..., kind, h, w)
            One kernel per kind.

        Returns
        -------
        tensor, (..., rows, columns)
            The prediction without background.
        """
        spectrum = torch.fft.rfft2(kernels, s=self.fft_shape)
        product = self._multiply(spectrum, self._spectrum).sum(dim=-3)
        image: torch.Tensor = torch.fft.irfft2(product, s=self.fft_shape)
        return image[..., : self.image_shape[0], : self.image_shape[1]]

    def adjoint(self, images: torch.Tensor) -> torch.Tensor:
        """Correlate images with the activation maps: the transpose of `apply`.

        Parameters
        ----------
        images : tensor, (..., rows, columns)
            Images without NaN.

        Returns
        -------
        tensor, (..., kind, h, w)
            What a matched filter would call the sum over all defects.
        """
        if not images.numel():
            return images.new_zeros((*images.shape[:-2], len(self.kinds), *self.kernel_shape))
        spectrum = torch.fft.rfft2(images, s=self.fft_shape)
        product = self._multiply(spectrum.unsqueeze(-3), self._spectrum.conj())
        kernels: torch.Tensor = torch.fft.irfft2(product, s=self.fft_shape)
        return kernels[..., : self.kernel_shape[0], : self.kernel_shape[1]]

    def _multiply(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Product, in place where the first factor is a temporary of the full size."""
        if first.shape[-3] == second.shape[-3]:
            return first.mul_(second)
        return first * second

    def coverage(self, mask: torch.Tensor) -> torch.Tensor:
        """How much of the data speaks about each kernel pixel.

        Parameters
        ----------
        mask : tensor of bool, (rows, columns)
            True where a pixel counts.

        Returns
        -------
        tensor, (kind, h, w)
            Diagonal of the normal operator: the sum of squared strengths of the defects that
            show the kernel pixel on a counted image pixel.
        """
        image = torch.fft.rfft2(mask.to("cpu", torch.float64), s=self.fft_shape)
        product = image * self._squared_spectrum.conj()
        found: torch.Tensor = torch.fft.irfft2(product, s=self.fft_shape)
        found = found[..., : self.kernel_shape[0], : self.kernel_shape[1]].clamp(min=0.0)
        return found.to(self.device, self.dtype)

    def apply_variance(self, variances: torch.Tensor) -> torch.Tensor:
        """Predict the variance of images from that of independent kernel pixels.

        Parameters
        ----------
        variances : tensor, (..., kind, h, w)
            Variance of each kernel pixel.

        Returns
        -------
        tensor, (..., rows, columns)
            Variance of each image pixel.
        """
        spectrum = torch.fft.rfft2(variances, s=self.fft_shape)
        product = self._multiply(spectrum, self._variance_spectrum).sum(dim=-3)
        image: torch.Tensor = torch.fft.irfft2(product, s=self.fft_shape).clamp(min=0.0)
        return image[..., : self.image_shape[0], : self.image_shape[1]]

    @cached_property
    def _variance_spectrum(self) -> torch.Tensor:
        return self._squared_spectrum.to(self._spectrum)

    @cached_property
    def _squared_spectrum(self) -> torch.Tensor:
        spectrum: torch.Tensor = torch.fft.rfft2(self._activation.square(), s=self.fft_shape)
        return spectrum * self._phase()


class Background:
    """A smooth background that is fitted together with the kernels.

    Being linear it is eliminated exactly: `remove` projects it out of images, so the normal
    operator ``H^T R H`` with ``R`` = `remove` gives the kernel of the joint fit. The same operator
    is ``H^T P H - U U^T`` with ``P`` = `remove_rows` and ``U = H^T`` `functions`, which costs no
    pass over the image.

    Parameters
    ----------
    kind : str
        ``none``; ``offset``, a constant; ``plane``; ``rows``, an offset for each scan line (row)
        plus one common slope along the line, for topographs with line-to-line height jumps.
    mask : tensor of bool, (rows, columns)
        True where a pixel counts.
    dtype : torch.dtype
        float32 or float64.
    """

    def __init__(
        self, kind: BackgroundKind, mask: torch.Tensor, dtype: torch.dtype = torch.float64
    ) -> None:
        self.kind = kind
        self.weight = mask.to(dtype)
        self._counts_everything = bool(mask.all())
        rows, columns = mask.shape
        y = torch.linspace(-1, 1, rows, dtype=torch.float64).view(-1, 1).expand(rows, columns)
        x = torch.linspace(-1, 1, columns, dtype=torch.float64).view(1, -1).expand(rows, columns)
        functions = {
            "none": [],
            "offset": [torch.ones_like(x)],
            "plane": [torch.ones_like(x), y, x],
            "rows": [x],
        }[kind]
        self._row_weight = self.weight.sum(dim=-1, keepdim=True).clamp(min=1.0)
        self._basis = self._orthonormalise([f.to(mask.device, dtype) for f in functions])

    def _orthonormalise(self, functions: list[torch.Tensor]) -> torch.Tensor:
        """Functions that are orthonormal on the counted pixels (and to the row offsets)."""
        basis: list[torch.Tensor] = []
        for function in functions:
            left = self._without_row_means(function)
            for _ in range(2):
                for other in basis:
                    left = left - (self.weight * other * left).sum() * other
            norm = (self.weight * left * left).sum().sqrt()
            if norm > 1e-4 * (self.weight * function * function).sum().sqrt():
                basis.append(left / norm)
        return torch.stack(basis) if basis else self.weight.new_zeros((0, *self.weight.shape))

    @property
    def functions(self) -> torch.Tensor:
        """Weighted smooth background functions, (function, rows, columns), orthonormal."""
        return self._basis * self.weight

    def remove_rows(self, images: torch.Tensor) -> torch.Tensor:
        """Subtract row offsets if they are fitted, and blank the pixels that do not count."""
        left = self._without_row_means(images)
        return left if self._counts_everything else left * self.weight

    def _without_row_means(self, images: torch.Tensor) -> torch.Tensor:
        if self.kind != "rows":
            return images
        return images - (self.weight * images).sum(dim=-1, keepdim=True) / self._row_weight

    @cached_property
    def parameters(self) -> int:
        """Number of free numbers per image."""
        rows = int((self.weight.sum(dim=-1) > 0).sum()) if self.kind == "rows" else 0
        return rows + len(self._basis)

    def remove(self, images: torch.Tensor) -> torch.Tensor:
        """Subtract the best-fitting background; the fit sees counted pixels only.

        Parameters
        ----------
        images : tensor, (..., rows, columns)
            Images without NaN.

        Returns
        -------
        tensor
            Of the same shape, zero where a pixel does not count.
        """
        left = self._without_row_means(images)
        if len(self._basis):
            coefficients = torch.einsum("...yx,fyx->...f", left, self.functions)
            left = left - torch.einsum("...f,fyx->...yx", coefficients, self._basis)
        return left * self.weight

    def fit(self, images: torch.Tensor) -> torch.Tensor:
        """Evaluate the best-fitting background on every pixel; arguments as in `remove`."""
        left = self._without_row_means(images)
        background = images - left
        if len(self._basis):
            coefficients = torch.einsum("...yx,fyx->...f", left, self.functions)
            background = background + torch.einsum("...f,fyx->...yx", coefficients, self._basis)
        return background
