"""The spread of a posterior: exact where the data speak loudest, drawn for the rest."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.bayes.priors.covariance_roots import KernelRoot
from qpi_kernels.linalg.block_lanczos import BlockLanczos, RitzPairs
from qpi_kernels.progress import Event, open_ended

__all__ = ["Spread", "draw_spreads"]

# Draws have settled if another few blocks narrow them by less than this share.
_TOLERANCE = 0.003
# Blocks between checks, to the first check, at which to stop although directions that the data
# determine are missing, and in any case.
_CHECK_EVERY, _FIRST_CHECK, _USUAL_BLOCKS, _MAX_BLOCKS = 4, 8, 28, 60
# Residual of an eigenvector over its eigenvalue at which it counts as found: others lean to the
# draws. Eigenvalue over ridge below which it tells nothing.
_MAX_RESIDUAL, _MIN_VALUE = 0.02, 0.005
# Share of the numbers that the data determine which is enough to have exactly.
_ENOUGH = 0.95
# Width of the averages of what is drawn, over that of the prior, and where the latter is not known.
_RELATIVE_WIDTH, _WIDTH = 2.5, 1.5
# Share of the prior's variance, over the precision, below which a difference to it is rounding.
_ROUNDING = 30.0
_TYPICAL_BLOCKS = 28


@dataclass(frozen=True, eq=False)
class Spread:
    """Draws from a posterior less its mean, and their variance, for noise of variance 1.

    Parameters
    ----------
    numbers : tensor, (draw, n)
        Unit numbers.
    kernels : tensor, (draw, kind, h, w)
        The same as kernels.
    variance : tensor, (kind, h, w)
        Of the kernels: far more accurate than the draws' own.
    """

    numbers: torch.Tensor
    kernels: torch.Tensor
    variance: torch.Tensor


def draw_spreads(
    root: KernelRoot,
    normal: Callable[[torch.Tensor], torch.Tensor],
    ridges: Sequence[float],
    determined: float,
    prior: torch.Tensor,
    noise: torch.Tensor,
    message: str,
) -> Generator[Event, None, list[Spread]]:
    r"""Draw from posteriors :math:`(G + \lambda)^{-1}` of unit numbers at some ridges.

    A draw is one of the prior less the estimate from a map of it with noise: its covariance is the
    posterior's (Matheron's rule; Papandreou and Yuille 2010). All are solved in one block Krylov
    space, which holds the directions that the data determine best, too: of these the covariance is
    known without drawing. Only the variance in all other directions is that of the draws, less
    their prior's as far as the two go together (control variate), averaged over neighbouring
    pixels as a share of the prior's.

    Parameters
    ----------
    root : KernelRoot
        From unit numbers to kernels.
    normal : callable
        G on unit numbers (v, n).
    ridges : sequence of float
        The ridges.
    determined : float
        Effective number of unit numbers that the data determine at the smallest.
    prior, noise : tensor, (draw, n)
        Draws of the prior, and of noise with covariance G.
    message : str
        What events say.
    """
    image = normal(prior)
    smallest = min(ridges)
    start = [noise + smallest**-0.5 * image] if len(ridges) == 1 else [noise, image]
    space = BlockLanczos(normal, torch.cat(start))
    before = np.inf
    while True:
        space.step()
        yield open_ended(message, space.iterations, _TYPICAL_BLOCKS)
        done = space.iterations
        last = space.exhausted or done >= _MAX_BLOCKS
        if not last and (done < _FIRST_CHECK or done % _CHECK_EVERY):
            continue
        pairs = space.ritz_pairs()
        drawn = _drawn(space, pairs, smallest, prior, noise + smallest**-0.5 * image)
        width = float(drawn.square().mean()) ** 0.5
        settled = width >= (1 - _TOLERANCE) * before
        before = width
        found = _found(pairs, smallest)
        known = (pairs.values / (pairs.values + smallest))[found].sum()
        enough = known >= _ENOUGH * determined or done >= _USUAL_BLOCKS
        if last or (settled and enough):
            break
    spreads = []
    for ridge in ridges:
        right = noise + ridge**-0.5 * image
        spreads.append(_spread(root, space, pairs, ridge, prior, right))
    return spreads


def _found(pairs: RitzPairs, ridge: float) -> NDArray[np.bool_]:
    """Find the eigenvectors that are known well enough, and tell something, (m,)."""
    known = pairs.residuals < _MAX_RESIDUAL * pairs.values
    return np.asarray(known & (pairs.values > _MIN_VALUE * ridge))


def _drawn(
    space: BlockLanczos,
    pairs: RitzPairs,
    ridge: float,
    prior: torch.Tensor,
    right: torch.Tensor,
) -> torch.Tensor:
    """Draw unit numbers (draw, n): those of the prior less their estimate."""
    amplitudes = (right @ space.basis.T).cpu().double().numpy() @ pairs.vectors
    coordinates = (amplitudes / (pairs.values + ridge)) @ pairs.vectors.T
    solution = torch.from_numpy(coordinates).to(prior) @ space.basis
    drawn: torch.Tensor = ridge**-0.5 * prior - solution
    return drawn


def _spread(
    root: KernelRoot,
    space: BlockLanczos,
    pairs: RitzPairs,
    ridge: float,
    prior: torch.Tensor,
    right: torch.Tensor,
) -> Spread:
    """Put the variance together from what is known exactly and what was drawn."""
    numbers = _drawn(space, pairs, ridge, prior, right)
    found = _found(pairs, ridge)
    mixing = torch.from_numpy(pairs.vectors[:, found].T.copy()).to(prior)
    vectors, values = mixing @ space.basis, pairs.values[found]

    def rest(drawn: torch.Tensor) -> NDArray[np.float64]:
        """Square what draws (draw, n) have beside these vectors, as kernels."""
        remainder = drawn - (drawn @ vectors.T) @ vectors
        return np.asarray(root.apply(remainder).cpu().double().square().numpy())

    shapes = root.apply(vectors).cpu().double().square().flatten(1).numpy()
    size = root.apply(numbers)
    exact = ((1 / (values + ridge)) @ shapes).reshape(size.shape[1:])
    whole, left = root.variance, rest(numbers)
    others = _averaged(left.mean(axis=0), _WIDTH)
    if whole is not None:
        had = whole.cpu().double().numpy()
        beyond = had - shapes.sum(axis=0).reshape(exact.shape)
        known = beyond > _ROUNDING * torch.finfo(prior.dtype).eps * had
        expected = np.where(known, beyond, 0.0) / ridge
        share = _share(left, rest(ridge**-0.5 * prior), expected)
        others = np.where(known, expected * share, others)
    variance = torch.from_numpy(exact + others).to(prior)
    return Spread(numbers, size, variance)


def _share(
    drawn: NDArray[np.float64], prior: NDArray[np.float64], expected: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Estimate the share of the prior's variance that is left, (kind, h, w).

    Parameters
    ----------
    drawn, prior : array, (draw, kind, h, w)
        Squares of draws, and of those of the prior that they were made from.
    expected : array, (kind, h, w)
        Variance of the latter.
    """
    scale = np.maximum(_averaged(expected, _RELATIVE_WIDTH), 1e-300)
    drawn, prior = (np.where(expected > 0, squares, 0.0) for squares in (drawn, prior))
    left, had = (_averaged(squares, _RELATIVE_WIDTH) / scale for squares in (drawn, prior))
    change = had - had.mean(axis=0)
    explained = float(np.square(change).sum())
    slope = float(((left - left.mean(axis=0)) * change).sum()) / max(explained, 1e-300)
    share = left.mean(axis=0) - np.clip(slope, 0.0, 1.0) * (had.mean(axis=0) - 1)
    return np.asarray(np.maximum(share, 0.05 * left.mean(axis=0)))


def _averaged(images: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Average images (..., h, w) over neighbouring pixels."""
    widths = (0.0,) * (images.ndim - 2) + (width, width)
    return np.asarray(scipy.ndimage.gaussian_filter(images, widths, mode="nearest"))
