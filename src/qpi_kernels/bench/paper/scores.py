"""Predictions of a model, their scores, and what a difference between two models is worth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.bench.paper.data import KernelSet
from qpi_kernels.bench.paper.report import Score
from qpi_kernels.metrics import (
    affine_invariant_nrmse,
    core_excluded_correlation,
    fourier_correlation,
    published_errors,
)
from qpi_kernels.models.folder import KernelModel
from qpi_kernels.models.networks import observation_channels

__all__ = [
    "UNITS",
    "bootstrapped",
    "decode",
    "encode",
    "kernel_codes",
    "predict",
    "reconstruct",
    "score_kernels",
    "summary",
]

Scores = NDArray[np.float64]

UNITS = {
    "rmse": "published unit: RMSE x 2; kernels and predictions stretched to 0 ... 1 (min-max)",
    "mae": "published unit: MAE x 2, stretched likewise",
    "mse": "published unit: MSE x 4, stretched likewise",
    "rmse_as_predicted": (
        "RMSE x 2 without stretching predictions; for models that predict min-max kernels"
    ),
    "nrmse": "RMS error after the best scale >= 0 and offset, over the kernel's deviation",
    "core_excluded": "Pearson correlation of amplitudes at r > 3 px",
    "fourier": "Pearson correlation of |FFT|, mean taken off",
    "own_kernel_nearest": "share of observations whose nearest kernel code is their kernel's",
    "own_family_nearest": "share of observations whose nearest kernel code is of their family",
    "family_neighbour": "share of kernels whose nearest other kernel code is of their family",
    "family_by_chance": "what that share would be for codes without order",
}
"""Definitions of the scores."""

_BATCH = 32
_RESAMPLES = 4000


@torch.no_grad()
def encode(model: KernelModel, kernels: KernelSet) -> NDArray[np.float32]:
    """Encode all observations to latent means, (K, S, channels, rows, columns)."""
    seen, marked = (
        torch.from_numpy(images.reshape(-1, 1, *images.shape[-2:]).astype(np.float32))
        for images in (kernels.observations, kernels.activations)
    )
    device = _device(model)
    found = []
    for first in range(0, len(seen), _BATCH):
        part = slice(first, first + _BATCH)
        channels = observation_channels(
            seen[part].to(device), marked[part].to(device), model.inputs, model.grid
        )
        found.append(model.latent(channels).mean.cpu())
    codes = torch.cat(found)
    return np.asarray(codes.reshape(*kernels.observations.shape[:2], *codes.shape[1:]).numpy())


@torch.no_grad()
def decode(model: KernelModel, codes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Decode latent codes (..., channels, rows, columns) to kernels (..., h, w), as amplitudes."""
    flat = torch.from_numpy(codes.reshape(-1, *codes.shape[-3:]))
    device = _device(model)
    made = [
        model.kernel(flat[first : first + _BATCH].to(device)).cpu()
        for first in range(0, len(flat), _BATCH)
    ]
    kernels = torch.cat(made)
    return np.asarray(kernels.reshape(*codes.shape[:-3], *kernels.shape[-2:]).numpy())


def predict(model: KernelModel, kernels: KernelSet) -> NDArray[np.float32]:
    """Predict kernels from observations, (K, S, h, w), by the latent's mean."""
    return decode(model, encode(model, kernels))


@torch.no_grad()
def kernel_codes(model: KernelModel, kernels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Encode kernels (K, h, w) by the kernel VAE to latent means (K, channels, rows, columns)."""
    shown = model.representation.encode(torch.from_numpy(kernels)[:, None].to(_device(model)))
    found = [
        model.networks["kernel_vae"].encode(part).latent_dist.mean.cpu()
        for part in torch.split(shown, _BATCH)
    ]
    return np.asarray(torch.cat(found).numpy())


def reconstruct(model: KernelModel, kernels: KernelSet) -> NDArray[np.float32]:
    """Reconstruct kernels by the kernel VAE alone, (K, 1, h, w)."""
    return decode(model, kernel_codes(model, kernels.kernels))[:, None]


def score_kernels(
    true: NDArray[np.float32], found: NDArray[np.float32], *, min_max: bool
) -> dict[str, Scores]:
    """Score predictions.

    Parameters
    ----------
    true : array, (K, h, w)
        Kernels.
    found : array, (K, S, h, w)
        Predictions.
    min_max : bool
        Whether the model predicts kernels on the published scale from 0 to 1.

    Returns
    -------
    dict of str to array, (K, S)
        Names as in `UNITS`.
    """
    kernels = true[:, None]
    errors = published_errors(kernels, found)
    scores = {"rmse": errors.rmse, "mae": errors.mae, "mse": errors.mse}
    if min_max:
        scores["rmse_as_predicted"] = published_errors(kernels, found, stretch=False).rmse
    scores["nrmse"] = affine_invariant_nrmse(kernels, found)
    scores["core_excluded"] = core_excluded_correlation(kernels, found)
    scores["fourier"] = fourier_correlation(kernels, found)
    return scores


def summary(scores: Mapping[str, Scores], seed: int) -> dict[str, Score]:
    """Summarise scores (K, S) over samples and kernels."""
    result = {}
    for name, values in scores.items():
        means = values.mean(axis=1)
        low, high = bootstrapped(means, seed)
        result[name] = Score(
            mean=float(values.mean()),
            min=float(values.min()),
            max=float(values.max()),
            spread=float(means.std()),
            median=float(np.median(means)),
            low=low,
            high=high,
        )
    return result


def bootstrapped(first: Scores, seed: int, second: Scores | None = None) -> tuple[float, float]:
    """Bootstrap the 95 % interval of a mean over kernels, or of a ratio of means minus one.

    Kernels are drawn anew with replacement, those of both models together: the interval says what
    other kernels could have given, not what another training could.

    Parameters
    ----------
    first : array, (K,)
        A score of each kernel.
    seed : int
        Seed of the draws.
    second : array, (K,), optional
        Then it is about ``mean(first) / mean(second) - 1``.

    Returns
    -------
    tuple of float
        Lower and upper end.
    """
    rng = np.random.default_rng([seed, len(first)])
    drawn = rng.integers(len(first), size=(_RESAMPLES, len(first)))
    values = first[drawn].mean(axis=1)
    if second is not None:
        values = values / second[drawn].mean(axis=1) - 1
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _device(model: KernelModel) -> torch.device:
    network: torch.nn.Module = next(iter(model.networks.values()))
    return next(network.parameters()).device
