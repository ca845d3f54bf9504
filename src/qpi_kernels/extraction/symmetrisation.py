"""Kernels of an imposed point group: the map from free numbers to kernels, on tensors."""

from __future__ import annotations

import warnings

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray

from qpi_kernels.symmetry import Symmetry, symmetrisation_matrix

__all__ = ["Symmetrisation"]

# Numbers that a product gathers at a time on a GPU.
_MAX_NUMBERS = 2**25


class Symmetrisation:
    """The map from free numbers to kernels: the identity, or an average over a point group.

    Parameters
    ----------
    symmetry : str or None
        The point group to impose, see `qpi_kernels.symmetry.Symmetry.parse`.
    kernel_shape : tuple of int
        Height and width of the kernels.
    kinds : int
        How many kernels stand side by side in a vector.
    dtype : torch.dtype
        float32 or float64.
    device : torch.device
        Where the vectors live.
    """

    def __init__(
        self,
        symmetry: str | None,
        kernel_shape: tuple[int, int],
        kinds: int,
        *,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self._shape = kernel_shape
        self.rank = kinds * int(np.prod(kernel_shape))
        self._matrix: _SparseMatrix | None = None
        self._order = 1
        if symmetry is not None:
            group = Symmetry.parse(symmetry)
            matrix = symmetrisation_matrix(group, kernel_shape)
            transpose = scipy.sparse.csr_array(matrix.T)
            self._matrix = _SparseMatrix(matrix, dtype, device)
            self._transpose = _SparseMatrix(transpose, dtype, device)
            self._order = len(group.operations())
            self.rank = max(1, round(kinds * float(matrix.trace())))

    @property
    def imposed(self) -> bool:
        """True if there is a point group."""
        return self._matrix is not None

    def apply(self, vectors: torch.Tensor) -> torch.Tensor:
        """Expand free numbers to flattened kernels, (vector, n)."""
        return vectors if self._matrix is None else self._times(self._matrix, vectors)

    def adjoint(self, vectors: torch.Tensor) -> torch.Tensor:
        """Apply the transpose of `apply`."""
        return vectors if self._matrix is None else self._times(self._transpose, vectors)

    def averaged_coverage(self, coverage: torch.Tensor) -> torch.Tensor:
        """Sum the coverage of all images of a pixel: the group's order times the mean."""
        if self._matrix is None:
            return coverage
        return (self.apply(coverage.flatten(1)) * self._order).view(coverage.shape)

    def symmetrise(self, kernels: torch.Tensor) -> torch.Tensor:
        """Average kernels (..., h, w) over the group; they come back as they are without one."""
        return self.apply(kernels.flatten(-2)).view(kernels.shape)

    def _times(self, matrix: _SparseMatrix, vectors: torch.Tensor) -> torch.Tensor:
        """Multiply every kernel of flattened vectors by a matrix."""
        columns = vectors.reshape(-1, int(np.prod(self._shape))).T
        return matrix.times(columns).T.reshape(vectors.shape)


class _SparseMatrix:
    """A sparse matrix that multiplies tensors where they live, always in the same order.

    On a CPU scipy does it for one column, and torch's compressed rows for many: each is 1.5 to 4
    times as fast as the other there (measured). Elsewhere
    each row is a sum over as many numbers as the longest row has: sparse products of CUDA add in no
    fixed order, and Apple's MPS has none.
    """

    def __init__(
        self, matrix: scipy.sparse.csr_array, dtype: torch.dtype, device: torch.device
    ) -> None:
        precision = np.float32 if dtype == torch.float32 else np.float64
        self._array = matrix.astype(precision)
        self._on_cpu = device.type == "cpu"
        if self._on_cpu:
            self._rows = _compressed(self._array)
        else:
            columns, values = _padded_rows(self._array)
            self._columns = torch.from_numpy(columns).to(device)
            self._values = torch.from_numpy(values).to(device)

    def times(self, columns: torch.Tensor) -> torch.Tensor:
        """Multiply by ``(n, column)``."""
        if self._on_cpu:
            if columns.shape[1] > 1:
                return self._rows @ columns.contiguous()
            return torch.from_numpy(self._array @ columns.numpy()[:, 0])[:, None]
        at_once = max(1, _MAX_NUMBERS // self._columns.numel())
        products = [
            torch.einsum("rw,rwc->rc", self._values, some[self._columns])
            for some in torch.split(columns, at_once, dim=1)
        ]
        return torch.cat(products, dim=1)


def _compressed(matrix: scipy.sparse.csr_array) -> torch.Tensor:
    """Turn a matrix into one of torch's in compressed rows."""
    with warnings.catch_warnings():
        # Of a format that may still change.
        warnings.simplefilter("ignore", UserWarning)
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int64)),
            torch.from_numpy(matrix.indices.astype(np.int64)),
            torch.from_numpy(matrix.data),
            size=matrix.shape,
        )


def _padded_rows(
    matrix: scipy.sparse.csr_array,
) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
    """Give all rows of a matrix the same number of entries: columns and values, (row, entry)."""
    lengths = np.diff(matrix.indptr)
    columns = np.zeros((len(lengths), lengths.max(initial=1)), np.int64)
    values = np.zeros(columns.shape, matrix.dtype)
    taken = np.arange(columns.shape[1]) < lengths[:, None]
    columns[taken], values[taken] = matrix.indices, matrix.data
    return columns, values
