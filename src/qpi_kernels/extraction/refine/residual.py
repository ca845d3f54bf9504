"""The residual of an extraction, with the kernels it belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.result import KernelResult
from qpi_kernels.symmetry import Symmetry

__all__ = ["ResidualMap", "residual_map"]

_PLANES_USED = 8


@dataclass(frozen=True, eq=False)
class ResidualMap:
    """Residual and kernels of the planes with the largest signal-to-noise ratio.

    Parameters
    ----------
    values : array, (plane, rows, columns)
        Observation less reconstruction, zero where a pixel does not count.
    mask : array of bool, (rows, columns)
        True where a pixel counts.
    weight : array, (plane,)
        Inverse of the residual's variance per free pixel.
    kernels : dict of str to array, (plane, h, w)
        Kernel of each kind.
    absorbed : float
        Share of a change of the residual that a new kernel would absorb, 0 to 1: free numbers of
        the kernel per counted pixel.
    """

    values: NDArray[np.float64]
    mask: NDArray[np.bool_]
    weight: NDArray[np.float64]
    kernels: dict[str, NDArray[np.float64]]
    absorbed: float = 0.0


def residual_map(
    result: KernelResult, mask: NDArray[np.bool_] | None = None, *, planes: int = _PLANES_USED
) -> ResidualMap:
    """Take residual and kernels out of a result.

    Parameters
    ----------
    result : KernelResult
        Of any estimator.
    mask : array of bool, (rows, columns), optional
        True where a pixel counted in the extraction; without, all that hold numbers.
    planes : int
        Maximum number of planes: those with the largest kernels over their noise.

    Returns
    -------
    ResidualMap
        In the observation's units.
    """
    kinds = result.defects.kinds
    image_shape = result.residual.shape[-2:]
    window = result.kernel.shape[-2:]
    kernels = np.asarray(result.kernel.values, np.float64).reshape(len(kinds), -1, *window)
    values = np.asarray(result.residual.values, np.float64).reshape(-1, *image_shape)
    counted = np.asarray(np.isfinite(values).all(axis=0))
    if mask is not None:
        counted = counted & mask
    values = np.where(counted, values, 0.0)
    number = max(int(counted.sum()), 1)
    size = len(kinds) * window[0] * window[1] / _copies(result)
    absorbed = np.clip(np.array(result.quality.determined) * size / number, 0.0, 0.95)
    variance = np.square(values).sum(axis=(-2, -1)) / ((1.0 - absorbed) * number)
    energy = np.square(kernels).sum(axis=(0, 2, 3))
    # A noiseless map would otherwise weigh without limit.
    variance = np.maximum(variance, 1e-12 * np.maximum(energy, 1e-290))
    best = np.sort(np.argsort(-energy / variance, kind="stable")[:planes])
    return ResidualMap(
        values[best],
        counted,
        1.0 / variance[best],
        {kind: kernels[index][best] for index, kind in enumerate(kinds)},
        float(absorbed[best].mean()),
    )


def _copies(result: KernelResult) -> int:
    """Count the pixels of a kernel that an imposed symmetry makes equal."""
    symmetry = result.provenance.get("parameters", {}).get("symmetry")
    if symmetry is None:
        return 1
    group = Symmetry.parse(symmetry)
    return group.fold * (2 if group.mirror else 1)
