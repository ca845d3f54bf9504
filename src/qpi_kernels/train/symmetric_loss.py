"""The symmetric loss of arXiv 2506.05325: a reconstruction must match its kernel when rotated."""

from __future__ import annotations

from functools import lru_cache

import torch

__all__ = ["ROTATIONS_DEG", "rotated", "symmetric_loss"]

ROTATIONS_DEG: dict[int, tuple[float, ...]] = {
    0: (90.0, -90.0, 180.0),
    1: (),
    2: (180.0,),
    3: (120.0, -120.0),
    4: (90.0, -90.0),
    6: (60.0, -60.0, 120.0, -120.0, 180.0),
}
"""Rotations by fold as published (`training/vae1.py` of its code); fold 0 is isotropic, 1 has no
symmetry and no loss."""

_INTERIOR = 40 / 64
_ANGLES_DEG = sorted({angle for angles in ROTATIONS_DEG.values() for angle in angles})


def symmetric_loss(
    reconstruction: torch.Tensor, kernel: torch.Tensor, fold: torch.Tensor
) -> torch.Tensor:
    """Average squared differences of rotated reconstructions and true kernels.

    Averaged over the rotations of each kernel's fold, on the central 40/64 of the window, and over
    the batch; a kernel without symmetry counts as zero. All kernels are turned by all angles and
    weighed by their fold, so that nothing waits for the device.

    Parameters
    ----------
    reconstruction, kernel : tensor, (B, 1, h, w)
        In the network's representation.
    fold : tensor of int, (B,)
        See `ROTATIONS_DEG`.

    Returns
    -------
    tensor, ()
    """
    rows, cols = (
        slice(size // 2 - round(size * _INTERIOR) // 2, size // 2 + round(size * _INTERIOR) // 2)
        for size in kernel.shape[-2:]
    )
    shares = _shares(kernel.device)
    weights = shares[fold.clamp(max=len(shares) - 1)]
    true = kernel[..., rows, cols]
    total = kernel.new_zeros(())
    for number, angle in enumerate(_ANGLES_DEG):
        grid = _grid((kernel.shape[-2], kernel.shape[-1]), angle, kernel.device)
        error = (_sampled(reconstruction, grid[:, rows, cols]) - true).square().mean(dim=(1, 2, 3))
        total = total + (error * weights[:, number]).sum()
    return total / len(kernel)


def rotated(images: torch.Tensor, angle_deg: float) -> torch.Tensor:
    """Rotate images (B, 1, h, w) about pixel ``(h//2, w//2)``, bilinear, edges repeated."""
    grid = _grid((images.shape[-2], images.shape[-1]), angle_deg, images.device)
    return _sampled(images, grid)


def _sampled(images: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """Interpolate images at a grid of places; in single precision, for bf16 has no place finer."""
    result: torch.Tensor = torch.nn.functional.grid_sample(
        images.float(),
        grid.expand(len(images), -1, -1, -1),
        padding_mode="border",
        align_corners=True,
    )
    return result


@lru_cache(maxsize=8)
def _shares(device: torch.device) -> torch.Tensor:
    """Compute the weight of each angle for each fold, (fold, angle); the last fold has none."""
    shares = torch.zeros(max(ROTATIONS_DEG) + 2, len(_ANGLES_DEG))
    for fold, angles in ROTATIONS_DEG.items():
        for angle in angles:
            shares[fold, _ANGLES_DEG.index(angle)] = 1 / len(angles)
    return shares.to(device)


@lru_cache(maxsize=32)
def _grid(shape: tuple[int, int], angle_deg: float, device: torch.device) -> torch.Tensor:
    """Compute where each pixel samples, (1, h, w, 2) as (x, y) in -1 ... 1 of pixel centres."""
    angle = torch.deg2rad(torch.tensor(angle_deg, dtype=torch.float64))
    rows, cols = (torch.arange(n, dtype=torch.float64) - n // 2 for n in shape)
    y, x = torch.meshgrid(rows, cols, indexing="ij")
    at_x = torch.cos(angle) * x + torch.sin(angle) * y + shape[1] // 2
    at_y = -torch.sin(angle) * x + torch.cos(angle) * y + shape[0] // 2
    scaled = [2 * at / (n - 1) - 1 for at, n in ((at_x, shape[1]), (at_y, shape[0]))]
    return torch.stack(scaled, dim=-1)[None].float().to(device)
