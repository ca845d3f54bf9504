"""First guesses of unknown kernels: patches of high energy of the map."""

from __future__ import annotations

import numpy as np
import torch

from qpi_kernels.extraction.blind.convolution_model import ConvolutionModel

__all__ = ["energetic_patches", "unlike_patches"]

_WIDTHS = (1.0, 0.5, 0.33)
_MIN_WIDTH = 5
_CANDIDATES = 6
_MIN_ENERGY = 1e-4


def energetic_patches(
    model: ConvolutionModel, each: int, distance: float | None = None
) -> list[list[torch.Tensor]]:
    """Cut the most energetic patches out of the maps, under tapers of several widths.

    Where defects lie far apart, a patch as large as the kernel is the best guess; where they
    overlap, only the core of one defect is.

    Parameters
    ----------
    model : ConvolutionModel
        The maps.
    each : int
        Patches of each width.
    distance : float, optional
        Minimum distance of two patches, in windows; half a width when left out.

    Returns
    -------
    list of list of tensor, (plane, h, w)
        For each width, the most energetic first: patches of norm 1, fewer where the map has no
        space or no signal.
    """
    return [
        _patches(model, width, each, width / 2 if distance is None else distance)
        for width in _WIDTHS
    ]


def unlike_patches(model: ConvolutionModel, kinds: int, each: int) -> list[torch.Tensor]:
    """Guess several kernels at once: energetic patches that are not alike.

    Parameters
    ----------
    model : ConvolutionModel
        The maps.
    kinds : int
        Number of kernels.
    each : int
        Guesses of each width; each starts from another patch.

    Returns
    -------
    list of tensor, (kind, plane, h, w)
        Fewer where there are too few patches.
    """
    guesses = []
    for patches in energetic_patches(model, _CANDIDATES * kinds, 0.5):
        if len(patches) < kinds:
            continue
        similarity = _similarity(torch.stack(patches))
        for first in range(min(each, len(patches))):
            chosen = [first]
            while len(chosen) < kinds:
                closest = similarity[chosen].amax(dim=0)
                closest[chosen] = torch.inf
                chosen.append(int(closest.argmin()))
            guesses.append(torch.stack([patches[index] for index in chosen]))
    return guesses


def _similarity(patches: torch.Tensor) -> torch.Tensor:
    """Find the largest correlation of each two patches over all shifts, (patch, patch)."""
    shape = [2 * size for size in patches.shape[-2:]]
    spectra = torch.fft.rfft2(patches, s=shape)
    rows = [
        torch.fft.irfft2((spectrum.conj() * spectra).sum(dim=1), s=shape).amax(dim=(1, 2))
        for spectrum in spectra
    ]
    return torch.stack(rows)


def _patches(
    model: ConvolutionModel, width: float, count: int, distance: float
) -> list[torch.Tensor]:
    """Cut out patches under a taper, the most energetic first, at a distance from each other."""
    taper = _taper(model.kernel_shape, width)
    energy = model.values.square().sum(dim=0)
    weight = taper[None, None].sqrt()
    # Only sites that show the whole window.
    energies = model.correlate(energy[None], model.kernel_spectrum(weight))[0].clone()
    first = [size - 1 for size in model.kernel_shape]
    energies = energies[first[0] : model.image_shape[0], first[1] : model.image_shape[1]]
    near = [max(int(2 * distance * size) // 2, 1) for size in model.kernel_shape]
    patches: list[torch.Tensor] = []
    # Where all is masked, the energy is not zero but rounding.
    minimum = _MIN_ENERGY * float(energies.max()) if energies.numel() else 0.0
    while len(patches) < count and energies.numel() and float(energies.max()) > minimum:
        row, col = divmod(int(energies.argmax()), energies.shape[1])
        height, length = model.kernel_shape
        patch = model.values[:, row : row + height, col : col + length] * taper
        patches.append(patch / patch.norm())
        energies[
            max(row - near[0], 0) : row + near[0] + 1, max(col - near[1], 0) : col + near[1] + 1
        ] = 0.0
    return patches


def _taper(shape: tuple[int, int], width: float) -> torch.Tensor:
    """Make the Hann window of a share of the kernel's window, zero around it."""
    sides = []
    for size in shape:
        inner = min(max(int(width * size), _MIN_WIDTH), size)
        side = np.zeros(size, np.float32)
        start = size // 2 - inner // 2
        side[start : start + inner] = np.hanning(inner + 2)[1:-1]
        sides.append(torch.from_numpy(side))
    return torch.outer(*sides)
