"""Calibration of the spread of a network's samples against the size of its errors."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from qpi_kernels.models.folder import KernelModel
from qpi_kernels.models.networks import observation_channels
from qpi_kernels.simulate.datasets.batches import Batch

__all__ = ["std_factor"]

_TINY = 1e-24


@torch.no_grad()
def std_factor(model: KernelModel, batches: Iterable[Batch], samples: int = 16) -> float:
    r"""Measure the ratio of error to spread on kernels that the model was not trained on.

    .. math:: \sqrt{\langle (K(\mu) - K_\mathrm{true})^2 \rangle \, / \,
        \langle (K(\mu + \sigma \epsilon) - K(\mu))^2 \rangle}

    with the decoder K, mean :math:`\mu` and deviation :math:`\sigma` of the latent and means over
    pixels, maps and normal noise :math:`\epsilon`, in the network's representation of kernels. No
    loss ties the variance of the latent to errors of the kernel, so the two may differ by orders of
    magnitude. A spread that is multiplied by this ratio is as large as the error on average.

    Parameters
    ----------
    model : KernelModel
        The networks.
    batches : iterable of Batch
        Held-out kernels with observations.
    samples : int
        Kernels to draw for each map.

    Returns
    -------
    float
        Above 0; infinite never, even where samples do not spread at all.
    """
    device = next(next(iter(model.networks.values())).parameters()).device
    generator = torch.Generator().manual_seed(0)
    wrong = spread = 0.0
    for batch in batches:
        true = model.representation.encode(batch["kernel"]).to(device)
        window = (true.shape[-2], true.shape[-1])
        seen = observation_channels(
            batch["observation"].to(device), batch["activation"].to(device), model.inputs, window
        )
        latent = model.latent(seen)
        made = model.represented_kernel(latent.mean)
        wrong += float((made - true).square().sum())
        for _ in range(samples):
            noise = torch.randn(latent.mean.shape, generator=generator).to(device)
            drawn = model.represented_kernel(latent.mean + latent.std * noise)
            spread += float((drawn - made).square().sum()) / samples
    return float((max(wrong, _TINY) / max(spread, _TINY)) ** 0.5)
