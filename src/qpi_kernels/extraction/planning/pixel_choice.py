"""Choice of the pixels that are worth measuring, where not all can be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.parameters import ExtractionError
from qpi_kernels.forward import ForwardModel
from qpi_kernels.models.kernel_prior import KernelPrior, bundled_prior
from qpi_kernels.threads import one_thread

__all__ = ["propose_pixels"]

# Components of simulated kernels that are told apart, at least; and numbers held for them.
_COMPONENTS, _MIN_COMPONENTS, _MAX_NUMBERS = 160, 32, 2**25
# Pixels are chosen in so many rounds, from so many times as many of the largest gain: neighbours
# tell nearly the same.
_ROUNDS, _CHOICE = 20, 3
# Signal to noise of a kernel pixel, as a ratio of amplitudes, where nothing is known.
_USUAL_SIGNAL = 1.0


# Sums of several threads add in another order, which would choose other pixels.
@one_thread()
def propose_pixels(
    defects: Defects | ArrayLike,
    shape: tuple[int, int],
    kernel_shape: tuple[int, int],
    count: int,
    *,
    noise: float | None = None,
    signal: float | None = None,
    allowed: ArrayLike | None = None,
    library: KernelPrior | None = None,
    seed: int = 0,
) -> NDArray[np.bool_]:
    r"""Choose the pixels of a map that tell most of the kernel.

    A greedy D-optimal design: each round takes pixels whose values are the least known from those
    chosen before, by their share :math:`x^T (\lambda + X X^T)^{-1} x` in the determinant of the
    posterior covariance of a kernel in components of simulated kernels (Federov 1972; the matrix
    determinant lemma). They lie near defects and at all phases of the waves.

    Parameters
    ----------
    defects : Defects or array, (N, 2)
        Positions (row, col), in pixels of the map.
    shape, kernel_shape : tuple of int
        (rows, columns) of the map and of the kernel window.
    count : int
        Number of pixels to choose.
    noise, signal : float, optional
        Standard deviation of a pixel's noise, and rms of the kernel over its window, in one unit.
        Alike when left out; only their ratio matters, and little.
    allowed : array of bool, (rows, columns), optional
        True where may be measured.
    library : KernelPrior, optional
        Simulated kernels; the bundled ones when left out.
    seed : int
        Of the choice among pixels that are nearly as good.

    Returns
    -------
    array of bool, (rows, columns)
        True where to measure: the argument ``measured`` of `plan`.

    Raises
    ------
    ExtractionError
        If there are not as many pixels, or no defect.
    """
    table = defects if isinstance(defects, Defects) else Defects(defects)
    if not len(table):
        raise ExtractionError("there are no defects to choose pixels for; mark at least one")
    free = np.ones(shape, bool) if allowed is None else np.asarray(allowed).astype(bool)
    if free.shape != tuple(shape):
        raise ExtractionError(f"allowed has shape {free.shape}, the map {tuple(shape)}")
    if not 0 < count <= free.sum():
        raise ExtractionError(
            f"{count} pixels can not be chosen of {free.sum()}; give count= between 1 and that"
        )
    ratio = _USUAL_SIGNAL if noise is None or signal is None else signal / noise
    places = np.flatnonzero(free)
    rows = _features(table, shape, kernel_shape, library or bundled_prior())[:, places] * ratio
    chosen = _Design(rows, np.random.default_rng(seed)).choose(count)
    measured = np.zeros(free.size, bool)
    measured[places[chosen]] = True
    return measured.reshape(shape)


def _features(
    defects: Defects,
    shape: tuple[int, int],
    window: tuple[int, int],
    library: KernelPrior,
) -> torch.Tensor:
    """Show what each component of a kernel of rms 1 adds to each pixel, (component, pixel)."""
    pixels = int(np.prod(shape))
    kinds = len(defects.kinds)
    count = int(np.clip(_MAX_NUMBERS // (pixels * kinds), _MIN_COMPONENTS, _COMPONENTS))
    components = library.components_on(window)[0][:count] * float(np.prod(window)) ** 0.5
    model = ForwardModel(defects, shape, window, dtype=torch.float32)
    made = []
    for kind in range(kinds):
        for some in torch.split(torch.from_numpy(np.ascontiguousarray(components)), 32):
            kernels = some.new_zeros(len(some), kinds, *window)
            kernels[:, kind] = some
            made.append(model.apply(kernels).flatten(1))
    return torch.cat(made)


@dataclass(frozen=True, eq=False)
class _Design:
    """Pixels to choose from, by what they show of unit numbers at unit noise, (number, pixel)."""

    rows: torch.Tensor
    rng: np.random.Generator

    def choose(self, count: int) -> NDArray[np.intp]:
        """Choose pixels in rounds, each by the information that those before leave to gain."""
        size, pixels = self.rows.shape
        information = torch.eye(size, dtype=torch.float64)
        chosen = np.zeros(pixels, bool)
        for number in range(_ROUNDS):
            take = -(-(count - int(chosen.sum())) // (_ROUNDS - number))
            if not take:
                break
            # |R x|^2 with R R^T the inverse: the variance of each pixel's value, as known so far.
            root = torch.linalg.cholesky(information)
            solved = torch.linalg.solve_triangular(root.to(self.rows), self.rows, upper=False)
            gain = solved.square().sum(dim=0).numpy()
            gain[chosen] = -1.0
            wanted = min(_CHOICE * take, int((~chosen).sum()))
            best = np.argpartition(-gain, wanted - 1)[:wanted]
            picked = self.rng.choice(best, take, replace=False)
            chosen[picked] = True
            some = self.rows[:, np.sort(picked)]
            information += (some @ some.T).double()
        return np.flatnonzero(chosen)
