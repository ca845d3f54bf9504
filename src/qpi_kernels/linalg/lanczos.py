"""Lanczos iterations for many right-hand sides of one symmetric positive operator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray

from qpi_kernels.linalg.replay import Replay

__all__ = ["Lanczos", "Tridiagonal"]

# Iterations for which there is room at first; it doubles.
_CAPACITY = 64


class Tridiagonal:
    r"""Spectral form of ``G`` in the Krylov space of each start vector ``b``, from `Lanczos`.

    For any function, :math:`b^T f(G) b \approx |b|^2 \sum_j w_j f(\theta_j)` (Gauss quadrature).

    Parameters
    ----------
    diagonal, subdiagonal : array, (vector, m)
        Of the tridiagonal matrix; the last of ``subdiagonal`` couples to the next, unknown vector.
    norm : array, (vector,)
        Length of each start vector.
    """

    def __init__(
        self,
        diagonal: NDArray[np.float64],
        subdiagonal: NDArray[np.float64],
        norm: NDArray[np.float64],
    ) -> None:
        # For one tridiagonal matrix after the other: threads would cost more than they save.
        solved = [
            scipy.linalg.eigh_tridiagonal(main, off)
            for main, off in zip(diagonal, subdiagonal[:, :-1], strict=True)
        ]
        values = np.stack([value for value, _ in solved])
        vectors = np.stack([vector for _, vector in solved])
        self.norm = norm
        self.values: NDArray[np.float64] = np.maximum(values, 0.0)
        self.weights: NDArray[np.float64] = vectors[:, 0, :] ** 2
        self._vectors = vectors
        self._next = subdiagonal[:, -1]

    def coordinates(self, shift: NDArray[np.float64]) -> NDArray[np.float64]:
        """Solve ``(G + shift) a = b`` in the Krylov space.

        Parameters
        ----------
        shift : array, (vector,)
            One shift per start vector.

        Returns
        -------
        array, (vector, m)
            Coordinates of the solution in the Lanczos basis.
        """
        denominator = self.values + shift[:, None]
        # A vector that found an invariant space leaves zero rows behind; they carry no weight.
        inverse = np.divide(1.0, denominator, where=denominator > 0, out=np.zeros_like(denominator))
        amplitude = inverse * self._vectors[:, 0, :] * self.norm[:, None]
        return np.asarray(np.einsum("rij,rj->ri", self._vectors, amplitude))

    def residual(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the length of ``b - (G + shift) a`` over that of ``b``, (vector,)."""
        residual = np.abs(self._next * coordinates[:, -1])
        return np.divide(residual, self.norm, where=self.norm > 0, out=np.zeros_like(residual))


class Lanczos:
    """Builds an orthonormal Krylov basis of ``G`` from each start vector.

    In exact arithmetic the solutions are those of conjugate gradients, but for every shift
    ``G + ridge`` at once (Paige and Saunders 1975; shift invariance of the Krylov space), so the
    ridge can be chosen after the work is done. The basis is kept and re-orthogonalised, which
    costs little beside two FFT pairs per iteration as long as kernels are smaller than images.

    Parameters
    ----------
    operator : callable
        ``G`` acting on ``(vector, n)``.
    start : tensor, (vector, n)
        The right-hand sides.
    """

    def __init__(
        self, operator: Callable[[torch.Tensor], torch.Tensor], start: torch.Tensor
    ) -> None:
        self._operator = operator
        self._norm = torch.linalg.vector_norm(start, dim=-1)
        self._eps = torch.finfo(start.dtype).eps
        self._tiny = torch.finfo(start.dtype).tiny
        self._on_cuda = start.device.type == "cuda"
        self.iterations = 0
        self._position = torch.zeros(1, dtype=torch.int64, device=start.device)
        self._basis = start.new_zeros((_CAPACITY + 1, *start.shape))
        self._basis[0] = start / self._norm.clamp(min=self._tiny)[:, None]
        # Diagonal and subdiagonal, (2, iteration, vector).
        self._bands = start.new_zeros((2, _CAPACITY, len(start)))
        # Length of the latest vector before it was made one, and so its coupling to the one before.
        self._coupling = start.new_zeros(len(start))
        self._replay = Replay(start.device)

    def step(self) -> None:
        """Do one iteration: apply the operator once to a vector per right-hand side."""
        if self.iterations == self._bands.shape[1]:
            self._basis = torch.cat([self._basis, torch.zeros_like(self._basis[1:])])
            self._bands = torch.cat([self._bands, torch.zeros_like(self._bands)], dim=1)
            self._replay = Replay(self._basis.device)
        self._replay(self._advance)
        self.iterations += 1

    def _advance(self) -> None:
        """Extend the basis by a vector; on CUDA with the same launches in each iteration."""
        diagonal, subdiagonal = self._bands
        latest = self._basis.index_select(0, self._position).squeeze(0)
        image = self._operator(latest)
        reach = torch.linalg.vector_norm(image, dim=-1)
        projection = (image * latest).sum(dim=-1)
        diagonal.index_copy_(0, self._position, projection[None])
        before = self._basis.index_select(0, (self._position - 1).clamp(min=0)).squeeze(0)
        image = image - projection[:, None] * latest - self._coupling[:, None] * before
        # Vectors to come are zero.
        count = len(self._basis) if self._on_cuda else self.iterations + 1
        known = self._basis[:count].transpose(0, 1)
        # Twice is enough (Parlett). Once is not where the space is nearly invariant: what is left
        # of the image is then rounding, which overlaps with all vectors.
        for _ in range(2):
            overlap = known @ image.unsqueeze(-1)
            image = image - (overlap.transpose(1, 2) @ known).squeeze(1)
        length = torch.linalg.vector_norm(image, dim=-1)
        # What is smaller is rounding: the space is invariant.
        length = torch.where(length > 30 * self._eps * reach, length, 0.0)
        subdiagonal.index_copy_(0, self._position, length[None])
        self._coupling.copy_(length)
        latest = torch.where(
            length[:, None] > 0, image / length.clamp(min=self._tiny)[:, None], 0.0
        )
        self._position += 1
        self._basis.index_copy_(0, self._position, latest[None])

    def tridiagonal(self) -> Tridiagonal:
        """Decompose the operator in the Krylov space built so far."""
        flat = torch.cat([self._bands[:, : self.iterations].flatten(0, 1), self._norm[None]])
        # One copy: each waits for the device.
        numbers = flat.cpu().double().numpy()
        diagonal, subdiagonal = numbers[: self.iterations].T, numbers[self.iterations : -1].T
        return Tridiagonal(diagonal, subdiagonal, numbers[-1])

    def combine(self, coordinates: NDArray[np.float64]) -> torch.Tensor:
        """Sum the basis with given coordinates, (vector, m) to (vector, n)."""
        weights = torch.from_numpy(coordinates).to(self._basis)
        return torch.einsum("rm,mrn->rn", weights, self._basis[: coordinates.shape[1]])
