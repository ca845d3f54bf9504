"""First guesses of an unknown kernel: patches of the map in which much is going on."""

from __future__ import annotations

import numpy as np
import torch

from qpi_kernels.extraction.blind_map import BlindMap

__all__ = ["energetic_patches"]

_WIDTHS = (1.0, 0.5, 0.33)
_LEAST_WIDTH = 5


def energetic_patches(seen: BlindMap, each: int) -> list[torch.Tensor]:
    """Cut the most energetic patches out of the maps, under tapers of several widths.

    Where defects lie far apart, a patch as large as the kernel is the best guess; where they
    overlap, only the core of one defect is.

    Parameters
    ----------
    seen : BlindMap
        The maps.
    each : int
        Patches of each width.

    Returns
    -------
    list of tensor, (plane, h, w)
        Kernels of norm 1, fewer where the map has no room or nothing to show.
    """
    patches: list[torch.Tensor] = []
    for width in _WIDTHS:
        patches += _patches_of_width(seen, width, each)
    return patches


def _patches_of_width(seen: BlindMap, width: float, count: int) -> list[torch.Tensor]:
    taper = _taper(seen.kernel_shape, width)
    energy = seen.values.square().sum(dim=0)
    weight = taper[None].sqrt()
    # Over the sites, of which only those that show the whole window are wanted.
    energies = seen.correlate(energy[None], seen.kernel_spectrum(weight)).clone()
    first = [size - 1 for size in seen.kernel_shape]
    energies = energies[first[0] : seen.image_shape[0], first[1] : seen.image_shape[1]]
    apart = [max(int(width * size) // 2, 1) for size in seen.kernel_shape]
    patches: list[torch.Tensor] = []
    while len(patches) < count and energies.numel() and float(energies.max()) > 0:
        row, col = divmod(int(energies.argmax()), energies.shape[1])
        height, length = seen.kernel_shape
        patch = seen.values[:, row : row + height, col : col + length] * taper
        patches.append(patch / patch.norm())
        energies[
            max(row - apart[0], 0) : row + apart[0] + 1, max(col - apart[1], 0) : col + apart[1] + 1
        ] = 0.0
    return patches


def _taper(shape: tuple[int, int], width: float) -> torch.Tensor:
    """Hann window of a share of the kernel's window, zero around it."""
    sides = []
    for size in shape:
        inner = min(max(int(width * size), _LEAST_WIDTH), size)
        side = np.zeros(size, np.float32)
        start = size // 2 - inner // 2
        side[start : start + inner] = np.hanning(inner + 2)[1:-1]
        sides.append(torch.from_numpy(side))
    return torch.outer(*sides)
