"""Errors on held-out kernels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from qpi_kernels.simulate.datasets.batches import Batch
from qpi_kernels.train.stages import Stage

__all__ = ["Validation", "validate"]

_SHOWN = 6


@dataclass(frozen=True, eq=False)
class Validation:
    """Errors and pictures of a validation."""

    values: dict[str, float]
    """``rmse``: root mean square error in the network's representation; ``correlation``: mean
    Pearson correlation there."""
    true: torch.Tensor
    """(6, h, w), the first kernels."""
    made: torch.Tensor
    """(6, h, w), the network's predictions of them."""


@torch.no_grad()
def validate(stage: Stage, batches: Iterable[Batch]) -> Validation:
    """Compare predictions with the truth, in the network's representation."""
    squares: list[torch.Tensor] = []
    correlations: list[torch.Tensor] = []
    shown: list[tuple[torch.Tensor, torch.Tensor]] = []
    for batch in batches:
        true = stage.representation.encode(batch["kernel"])  # type: ignore[attr-defined]
        made = stage.predict(batch)
        squares.append((made - true).square().mean(dim=(1, 2, 3)).cpu())
        flat = [image.flatten(1) - image.mean(dim=(1, 2, 3))[:, None] for image in (true, made)]
        norm = flat[0].norm(dim=1) * flat[1].norm(dim=1)
        correlations.append(((flat[0] * flat[1]).sum(dim=1) / norm.clamp(min=1e-12)).cpu())
        if not shown:
            shown.append((true[:_SHOWN, 0].cpu(), made[:_SHOWN, 0].cpu()))
    values = {
        "rmse": float(torch.cat(squares).mean().sqrt()),
        "correlation": float(torch.cat(correlations).mean()),
    }
    return Validation(values, *shown[0])
