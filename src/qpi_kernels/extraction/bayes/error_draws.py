"""Errors of kernels drawn from their posteriors, to be kept with a result."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from qpi_kernels.extraction.bayes.bias_transform import BiasTransform

__all__ = ["error_draws"]


def error_draws(
    deviations: Sequence[torch.Tensor],
    transform: BiasTransform | None,
    variances: torch.Tensor,
) -> torch.Tensor:
    """Draw errors of the kernels of all planes, which err independently of each other.

    Parameters
    ----------
    deviations : sequence of tensor, (draw, kind, h, w)
        Drawn from the posterior of each plane, or of each combination of planes.
    transform : BiasTransform, optional
        What made the combinations.
    variances : tensor, (plane, kind, h, w)
        Of the kernels: the draws get their mean power.

    Returns
    -------
    tensor, (plane, draw, kind, h, w)
    """
    generator = torch.Generator().manual_seed(0)
    mixed = []
    for drawn in deviations:
        # All posteriors are drawn from the same unit numbers.
        order = torch.randperm(len(drawn), generator=generator).to(drawn.device)
        sign = 2 * torch.randint(2, (len(drawn), 1, 1, 1), generator=generator) - 1
        mixed.append(drawn[order] * sign.to(drawn))
    draws = torch.stack(mixed).to(variances)
    if transform is not None:
        draws = transform.inverse(draws)
    power = draws.square().mean(dim=(1, 3, 4), keepdim=True)
    wanted = variances.mean(dim=(-2, -1))[:, None, :, None, None]
    return draws * torch.where(power > 0, wanted / power.clamp(min=1e-300), 0.0).sqrt()
