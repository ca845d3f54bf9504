"""Conjugate gradients for many right-hand sides, as a stepper."""

from __future__ import annotations

from collections.abc import Callable

import torch

from qpi_kernels.linalg.replay import Replay

__all__ = ["ConjugateGradients"]

# Residuals that are kept at first.
_CAPACITY = 64


class ConjugateGradients:
    """Solves ``G x = b`` for a symmetric positive ``G``, each right-hand side by itself.

    Hestenes and Stiefel 1952. Unlike `Lanczos` it keeps no basis, so it serves many right-hand
    sides at once where no spectrum is wanted.

    Parameters
    ----------
    operator : callable
        ``G`` acting on ``(vector, n)``.
    right : tensor, (vector, n)
        The right-hand sides.
    start : tensor, (vector, n), optional
        First solutions; zero when left out.
    tolerance : float
        Length of the residual over that of the right-hand side at which a solution stays.
    orthogonal : bool
        Keep residuals orthogonal to all earlier ones, in spite of rounding. Without that an iterate
        that is not converged depends on rounding, so on the device, wherever a few eigenvalues are
        far above the others. It keeps a basis, as `Lanczos` does.
    recorded : bool
        Record an iteration as a CUDA graph, where it may be: see `Replay`. A handful of iterations
        do not repay it.
    """

    def __init__(
        self,
        operator: Callable[[torch.Tensor], torch.Tensor],
        right: torch.Tensor,
        *,
        start: torch.Tensor | None = None,
        tolerance: float = 0.0,
        orthogonal: bool = False,
        recorded: bool = True,
    ) -> None:
        self._operator = operator
        self.solution = torch.zeros_like(right) if start is None else start.clone()
        self._residual = right.clone() if start is None else right - operator(start)
        self._direction = self._residual.clone()
        self._square = self._residual.square().sum(dim=1)
        self._min_square = tolerance**2 * right.square().sum(dim=1)
        self._tiny = torch.finfo(right.dtype).tiny
        self.iterations = 0
        self._replay = Replay(right.device) if recorded else None
        # Unit residuals, (iteration, vector, n), and the place of the latest.
        self._basis = right.new_zeros((_CAPACITY if orthogonal else 0, *right.shape))
        self._position = torch.zeros(1, dtype=torch.int64, device=right.device)
        if orthogonal:
            self._remember()

    @property
    def converged(self) -> bool:
        """True if all residuals are within the tolerance."""
        return bool((self._square <= self._min_square).all())

    def step(self) -> None:
        """Do one iteration: apply the operator once to a vector per right-hand side."""
        if len(self._basis) == self.iterations + 1:
            self._basis = torch.cat([self._basis, torch.zeros_like(self._basis)])
            self._replay = self._replay and Replay(self._basis.device)
        if self._replay is None:
            self._advance()
        else:
            self._replay(self._advance)
        self.iterations += 1

    def _advance(self) -> None:
        """Update solutions, residuals and directions in place."""
        going = self._square > self._min_square
        image = self._operator(self._direction)
        curvature = (self._direction * image).sum(dim=1).clamp(min=self._tiny)
        length = torch.where(going, self._square / curvature, 0.0)
        self.solution += length[:, None] * self._direction
        self._residual -= length[:, None] * image
        if len(self._basis):
            # Residuals to come are zero: on CUDA each iteration has the same launches.
            on_cuda = self._basis.device.type == "cuda"
            count = len(self._basis) if on_cuda else self.iterations + 1
            known = self._basis[:count].transpose(0, 1)
            overlap = known @ self._residual.unsqueeze(-1)
            self._residual -= (overlap.transpose(1, 2) @ known).squeeze(1)
        square = self._residual.square().sum(dim=1)
        ratio = torch.where(going, square / self._square.clamp(min=self._tiny), 0.0)
        self._square.copy_(square)
        self._direction *= ratio[:, None]
        self._direction += self._residual
        if len(self._basis):
            self._position += 1
            self._remember()

    def _remember(self) -> None:
        """Add the present residuals to those that later ones are made orthogonal to."""
        length = self._square.sqrt().clamp(min=self._tiny**0.5)
        self._basis.index_copy_(0, self._position, (self._residual / length[:, None])[None])
