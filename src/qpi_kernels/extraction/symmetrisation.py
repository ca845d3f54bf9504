"""Solutions of a given symmetry: the map from free numbers to kernels, on tensors."""

from __future__ import annotations

import numpy as np
import scipy.sparse
import torch

from qpi_kernels.extraction.problem import Problem
from qpi_kernels.symmetry import Symmetry, symmetrisation_matrix

__all__ = ["Symmetrisation"]


class Symmetrisation:
    """The map from free numbers to kernels: the identity, or an average over a point group.

    Parameters
    ----------
    problem : Problem
        Tells the kernel's shape, kinds, precision, device and the symmetry to impose.
    """

    def __init__(self, problem: Problem) -> None:
        self._shape = problem.parameters.kernel_shape
        self._kinds = len(problem.model.kinds)
        self.rank = self._kinds * int(np.prod(self._shape))
        self._matrix: _SparseMatrix | None = None
        self._order = 1
        if problem.parameters.symmetry is not None:
            symmetry = Symmetry.parse(problem.parameters.symmetry)
            matrix = symmetrisation_matrix(symmetry, self._shape)
            self._matrix = _SparseMatrix(matrix, problem)
            self._transpose = _SparseMatrix(scipy.sparse.csr_array(matrix.T), problem)
            self._order = len(symmetry.operations())
            self.rank = max(1, round(self._kinds * float(matrix.trace())))

    def apply(self, vectors: torch.Tensor) -> torch.Tensor:
        """From free numbers to flattened kernels, (vector, n)."""
        return vectors if self._matrix is None else self._times(self._matrix, vectors)

    def adjoint(self, vectors: torch.Tensor) -> torch.Tensor:
        """The transpose of `apply`."""
        return vectors if self._matrix is None else self._times(self._transpose, vectors)

    def averaged_coverage(self, coverage: torch.Tensor) -> torch.Tensor:
        """Coverage of a pixel by all its images: the group's order times the mean."""
        if self._matrix is None:
            return coverage
        return (self.apply(coverage.flatten(1)) * self._order).view(coverage.shape)

    def _times(self, matrix: _SparseMatrix, vectors: torch.Tensor) -> torch.Tensor:
        columns = vectors.reshape(-1, int(np.prod(self._shape))).T
        return matrix.times(columns).T.reshape(vectors.shape)


class _SparseMatrix:
    """A sparse matrix that multiplies tensors where they live.

    On a CPU scipy does it, ten times faster than torch's coordinate format (measured); Apple's MPS
    has no sparse product and takes the same way.
    """

    def __init__(self, matrix: scipy.sparse.csr_array, problem: Problem) -> None:
        self._on_cuda = problem.device.type == "cuda"
        if self._on_cuda:
            coordinates = matrix.tocoo()
            indices = np.stack([coordinates.row, coordinates.col]).astype(np.int64)
            values = torch.from_numpy(coordinates.data).to(problem.dtype)
            self._tensor = torch.sparse_coo_tensor(
                torch.from_numpy(indices), values, matrix.shape, check_invariants=True
            )
            self._tensor = self._tensor.coalesce().to(problem.device)
        else:
            precision = np.float32 if problem.dtype == torch.float32 else np.float64
            self._array = matrix.astype(precision)

    def times(self, columns: torch.Tensor) -> torch.Tensor:
        """Product with ``(n, column)``."""
        if self._on_cuda:
            return self._tensor @ columns
        product = self._array @ np.ascontiguousarray(columns.cpu().numpy())
        return torch.from_numpy(product).to(columns.device)
