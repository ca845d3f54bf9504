"""The normal operator of a convolution that is seen on a rectangle, at the cost of its kernel."""

from __future__ import annotations

from itertools import product

import torch

from qpi_kernels.linalg.transform_length import fast_length

__all__ = ["RectangleNormal", "correlation_lags"]

# Vectors that are multiplied together, whatever their number: other widths give other bits.
_AT_ONCE = 8


def correlation_lags(spectrum: torch.Tensor, extent: list[int], reach: list[int]) -> torch.Tensor:
    """Correlate arrays by their spectra, and keep short lags.

    Parameters
    ----------
    spectrum : tensor, (kind, kind, rows, frequencies)
        Products of the ``rfft2`` of arrays, the first of each conjugated.
    extent : list of int
        Rows and columns of the transform.
    reach : list of int
        Lags of less than so many rows and columns are kept.

    Returns
    -------
    tensor, (kind, kind, rows, columns)
        Of the fast lengths for that reach, lag 0 first, zero between the lags.
    """
    whole = torch.fft.irfft2(spectrum, s=extent)
    rows, columns = (torch.cat([torch.arange(n), torch.arange(1 - n, 0)]) for n in reach)
    size = [fast_length(2 * n - 1) for n in reach]
    inside: torch.Tensor = whole[..., rows[:, None] % extent[0], columns[None, :] % extent[1]]
    lags: torch.Tensor = whole.new_zeros((*whole.shape[:2], *size))
    lags[..., rows[:, None] % size[0], columns[None, :] % size[1]] = inside
    return lags


class RectangleNormal:
    r"""The exact normal operator of a linear convolution of which a rectangle is seen.

    On the whole plane :math:`H^T H` is a convolution with the correlation of the activations. What
    falls outside the rectangle is taken off: above and below it (over all columns), at its left
    and right (over all rows), and the four corners, which are in both, are added again. A strip is
    a convolution along its length, hence a matrix of the kernel's rows (or columns) at each
    frequency. Only the making takes steps of the rectangle's size.

    Parameters
    ----------
    activation : tensor, (kind, rows + h - 1, columns + w - 1)
        On all pixels from which a kernel reaches into the rectangle, see `Convolution`.
    kernel_shape : tuple of int
        h, w.
    dtype : torch.dtype
        float32 or float64: of the kernels.
    """

    def __init__(
        self, activation: torch.Tensor, kernel_shape: tuple[int, int], dtype: torch.dtype
    ) -> None:
        activation = activation.to(dtype)
        height, width = kernel_shape
        reach = [height, width]
        extent = [
            fast_length(have + side - 1)
            for have, side in zip(activation.shape[-2:], reach, strict=True)
        ]
        spectrum = torch.fft.rfft2(activation, s=extent)
        lags = correlation_lags(spectrum[:, None].conj() * spectrum[None, :], extent, reach)
        everywhere = _matrices_of_rows(lags, height)
        self._rows = everywhere - _strips(activation, kernel_shape)
        self._columns = _strips(activation.mT, (width, height))
        self._corners = _Corners(activation, kernel_shape)

    def apply(self, kernels: torch.Tensor) -> torch.Tensor:
        """Apply the operator to kernels (v, kind, h, w)."""
        image = _apply_along(self._rows, kernels)
        image -= _apply_along(self._columns, kernels.mT).mT
        image += self._corners.apply(kernels)
        return image


def _matrices_of_rows(lags: torch.Tensor, height: int) -> torch.Tensor:
    """Write a convolution as matrices of rows, (frequency along columns, kind * h, kind * h)."""
    kinds, rows = len(lags), torch.arange(height)
    spectrum: torch.Tensor = torch.fft.rfft(lags).permute(3, 0, 1, 2)
    # Output row j, input row j', at the lag j - j'.
    blocks = spectrum[..., (rows[:, None] - rows[None, :]) % lags.shape[-2]]
    return blocks.transpose(2, 3).reshape(-1, kinds * height, kinds * height)


def _strips(activation: torch.Tensor, kernel_shape: tuple[int, int]) -> torch.Tensor:
    """Write what is seen above and below a rectangle as matrices of rows at each frequency."""
    height, width = kernel_shape
    deep = height - 1
    lags = _strip(activation[:, :deep], kernel_shape)
    # Turned upside down, what is below is above.
    lags += _strip(activation.flip(1)[:, :deep], kernel_shape).flip(2, 4)
    # Of negative lags are the transposes.
    pairs = lags.flatten(3, 4).flatten(1, 2)
    half: torch.Tensor = torch.fft.rfft(pairs, n=fast_length(2 * width - 1), dim=0)
    return half + half.mH - pairs[0]


def _strip(activation: torch.Tensor, kernel_shape: tuple[int, int]) -> torch.Tensor:
    """Correlate what is seen above a rectangle, (lag columns, kind, h, kind, h) for lags >= 0."""
    kinds, deep, length = activation.shape
    height, width = kernel_shape
    lags = activation.new_zeros((width, kinds, height, kinds, height))
    # A kernel's row j puts row e at e + j, which counts if it is less than `deep`.
    flat = activation.flip(1).flatten(0, 1)
    for lag in range(min(width, length) if deep else 0):
        pairs = flat[:, : length - lag] @ flat[:, lag:].T
        lags[lag, :, :deep, :, :deep] = pairs.view(kinds, deep, kinds, deep)
    for row in range(height - 2, -1, -1):
        lags[:, :, row, :, :-1] += lags[:, :, row + 1, :, 1:]
    return lags


def _apply_along(matrices: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """Apply matrices of rows at each frequency along columns to kernels (v, kind, h, w)."""
    count, width = len(kernels), kernels.shape[-1]
    size = fast_length(2 * width - 1)
    spectrum = torch.fft.rfft(kernels, n=size).flatten(1, 2).permute(2, 1, 0)
    spectrum = torch.nn.functional.pad(spectrum, (0, -count % _AT_ONCE))
    parts = [matrices @ some for some in torch.split(spectrum, _AT_ONCE, dim=-1)]
    applied = torch.cat(parts, dim=-1)[..., :count].permute(2, 1, 0)
    image: torch.Tensor = torch.fft.irfft(applied, n=size)[..., :width]
    return image.reshape(kernels.shape)


class _Corners:
    """Sum of the normal operators of what is seen at the four corners outside a rectangle."""

    def __init__(self, activation: torch.Tensor, kernel_shape: tuple[int, int]) -> None:
        self._shape = kernel_shape
        self._size = [fast_length(2 * side - 1) for side in kernel_shape]
        deep, wide = (side - 1 for side in kernel_shape)
        ends = [
            (slice(0, side), slice(length - side, None))
            for length, side in zip(activation.shape[-2:], (deep, wide), strict=True)
        ]
        seen = [(slice(0, side), slice(side, 2 * side)) for side in (deep, wide)]
        self._parts: list[tuple[torch.Tensor, slice, slice]] = []
        for end in product(range(2), repeat=2):
            rows, columns = (ends[axis][end[axis]] for axis in range(2))
            down, across = (seen[axis][end[axis]] for axis in range(2))
            corner = activation[:, rows, columns]
            if bool(corner.any()):
                self._parts.append((self._spectrum(corner), down, across))

    def apply(self, kernels: torch.Tensor) -> torch.Tensor:
        """Apply the sum of the corners' normal operators to kernels (v, kind, h, w)."""
        if not self._parts:
            return torch.zeros_like(kernels)
        # Transforms of several arrays have other bits than those of one.
        return torch.stack([self._apply(one) for one in kernels])

    def _apply(self, kernels: torch.Tensor) -> torch.Tensor:
        """Apply the operator to the kernels of one map, (kind, h, w)."""
        spectrum = self._spectrum(kernels)
        total = torch.zeros_like(spectrum)
        for part, down, across in self._parts:
            corner = self._image((spectrum * part).sum(dim=0), down, across)
            corner = torch.nn.functional.pad(corner, (across.start, 0, down.start, 0))
            total += self._spectrum(corner) * part.conj()
        rows, columns = self._shape
        return self._image(total, slice(0, rows), slice(0, columns))

    def _spectrum(self, arrays: torch.Tensor) -> torch.Tensor:
        """Transform arrays with zeros after them; rows that are zero need no transform."""
        rows, columns = self._size
        spectrum: torch.Tensor = torch.fft.fft(torch.fft.rfft(arrays, n=columns), n=rows, dim=-2)
        return spectrum

    def _image(self, spectrum: torch.Tensor, rows: slice, columns: slice) -> torch.Tensor:
        """Transform some rows and columns back."""
        wanted = torch.fft.ifft(spectrum, dim=-2)[..., rows, :]
        image: torch.Tensor = torch.fft.irfft(wanted, n=self._size[1])[..., columns]
        return image
