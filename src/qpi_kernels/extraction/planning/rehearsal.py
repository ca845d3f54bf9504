"""Rehearsal of a measurement: a map that is simulated, its kernel extracted and compared."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.extract import start_extraction
from qpi_kernels.extraction.parameters import EstimatorParameters
from qpi_kernels.forward import superpose
from qpi_kernels.progress import Event, follow

__all__ = ["Rehearsal", "band_edges", "band_power", "rehearse"]

# Bands of scattering vectors from zero to the Nyquist limit.
_BANDS = 8


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """Error of the kernel of one simulated map.

    Parameters
    ----------
    band_error, band_signal : array, (band,)
        Mean squares of the error and of the true kernels in each band of scattering vectors, over
        the mean square of the true kernels: they sum to the squared relative error and to 1.
    claimed : float
        The extraction's own relative error, from its standard deviation.
    trust : str
        The extraction's verdict on itself, see `qpi_kernels.quality.Quality`.
    """

    band_error: NDArray[np.float64]
    band_signal: NDArray[np.float64]
    claimed: float
    trust: str


def rehearse(
    kernels: NDArray[np.float64],
    defects: Defects,
    shape: tuple[int, int],
    measured: NDArray[np.bool_] | None,
    noise: float,
    parameters: EstimatorParameters,
    seed: int,
) -> Generator[Event, None, Rehearsal]:
    """Simulate a map and extract its kernels.

    Parameters
    ----------
    kernels : array, (bias, kind, h, w)
        The truth.
    defects : Defects
        In pixels of the map.
    shape : tuple of int
        (rows, columns) of the map.
    measured : array of bool, (rows, columns), optional
        True where it is measured; everywhere when left out.
    noise : float
        Standard deviation of a pixel.
    parameters : EstimatorParameters
        Of the extraction.
    seed : int
        Of the noise.
    """
    members = [defects.of_kind(kind) for kind in defects.kinds]
    white = np.random.default_rng(seed).standard_normal((len(kernels), *shape))
    maps = np.stack([superpose(one, members, shape) for one in kernels]) + noise * white
    if measured is not None:
        maps[:, ~measured] = np.nan
    result = yield from follow(
        start_extraction(
            (maps if len(maps) > 1 else maps[0]).astype(np.float32),
            defects,
            parameters=parameters,
        )
    )
    truth = kernels.swapaxes(0, 1)
    found = np.asarray(result.kernel.values, float).reshape(truth.shape)
    total = np.square(truth).mean()
    std = np.asarray(result.std.values, float)
    return Rehearsal(
        band_error=band_power(found - truth) / total,
        band_signal=band_power(truth) / total,
        claimed=float(np.sqrt(np.square(std).mean() / total)),
        trust=str(result.quality.trust),
    )


def band_edges(pixel_nm: float) -> NDArray[np.float64]:
    """Return the edges (band + 1,) of the bands of scattering vectors, in rad/nm.

    The last band also holds the corners beyond the Nyquist limit of rows and columns.
    """
    return np.linspace(0.0, np.pi / pixel_nm, _BANDS + 1)


def band_power(kernels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide the mean square of kernels (..., h, w) among bands of scattering vectors."""
    rows, columns = kernels.shape[-2:]
    momentum = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns)[None, :])
    band = np.minimum((2 * _BANDS * momentum).astype(int), _BANDS - 1)
    power = np.abs(np.fft.fft2(kernels)) ** 2 / (rows * columns) ** 2
    power = power.reshape(-1, rows, columns).mean(axis=0)
    return np.bincount(band.ravel(), power.ravel(), minlength=_BANDS).astype(float)
