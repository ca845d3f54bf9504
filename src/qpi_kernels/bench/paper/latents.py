"""The latent space: whether families are apart and observations near their kernels' codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LatentCodes", "flattened", "neighbours", "plane"]

_PUBLISHED_SEED = 42


@dataclass(frozen=True, eq=False)
class LatentCodes:
    """Codes of kernels and of observations."""

    kernels: NDArray[np.float32]
    """(K, D), latent means of the kernels, by the kernel VAE."""
    observations: NDArray[np.float32]
    """(K, S, D), latent means of S observations of each, by the observation encoder."""
    families: NDArray[np.str_]
    """(K,), the family that generated each kernel."""


def flattened(
    kernels: NDArray[np.float32],
    observations: NDArray[np.float32],
    families: NDArray[np.str_],
) -> LatentCodes:
    """Turn codes (K, channels, rows, columns) and (K, S, channels, rows, columns) into vectors."""
    return LatentCodes(
        kernels.reshape(len(kernels), -1),
        observations.reshape(*observations.shape[:2], -1),
        families,
    )


def neighbours(codes: LatentCodes) -> dict[str, float]:
    """Count nearest neighbours of the same kernel and family, as shares, by Euclidean distance.

    Returns
    -------
    dict
        Names as in `qpi_kernels.bench.paper.scores.UNITS`.
    """
    count = len(codes.kernels)
    own = np.arange(count)
    to_kernels = _distances(codes.observations.reshape(-1, codes.kernels.shape[1]), codes.kernels)
    nearest = to_kernels.argmin(axis=1).reshape(codes.observations.shape[:2])
    between = _distances(codes.kernels, codes.kernels)
    np.fill_diagonal(between, np.inf)
    same = codes.families[:, None] == codes.families
    return {
        "own_kernel_nearest": float((nearest == own[:, None]).mean()),
        "own_family_nearest": float((codes.families[nearest] == codes.families[:, None]).mean()),
        "family_neighbour": float(same[own, between.argmin(axis=1)].mean()),
        "family_by_chance": float((same.sum() - count) / (count * (count - 1))),
    }


def plane(codes: LatentCodes) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """Lay all codes out in a plane, for looking at.

    There is no UMAP: its one picture would cost a compiler (numba) to install. What can be said of
    the codes in numbers, `neighbours` says in their own space, whatever the picture.

    Returns
    -------
    tuple
        Places of the kernels (K, 2), of the observations (K, S, 2), and how they were found:
        t-SNE with the published seed 42 where scikit-learn is installed, else the two directions
        in which the kernels' codes spread most.
    """
    every = np.concatenate(
        [codes.kernels, codes.observations.reshape(-1, codes.kernels.shape[1])]
    ).astype(np.float64)
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        placed, way = _principal(every, len(codes.kernels)), "principal components"
    else:
        perplexity = min(30.0, (len(every) - 1) / 3)
        embedding: Any = TSNE(random_state=_PUBLISHED_SEED, init="pca", perplexity=perplexity)
        placed, way = np.asarray(embedding.fit_transform(every), np.float64), "t-SNE"
    count = len(codes.kernels)
    return placed[:count], placed[count:].reshape(*codes.observations.shape[:2], 2), way


def _principal(every: NDArray[np.float64], kernels: int) -> NDArray[np.float64]:
    middle = every[:kernels].mean(axis=0)
    _, _, directions = np.linalg.svd(every[:kernels] - middle, full_matrices=False)
    return np.asarray((every - middle) @ directions[:2].T)


def _distances(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Compute squared distances, (first, second)."""
    one, other = first.astype(np.float64), second.astype(np.float64)
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
    return np.asarray(squares)
