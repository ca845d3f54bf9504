"""`SmoothBias`: a cube smoothed along its bias."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from qpi_kernels.prepare.prepared import PreparationError, Prepared
from qpi_kernels.prepare.step import Step

__all__ = ["STEP", "SmoothBias"]

_FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))
_REACH = 4.0


class SmoothBias(Step):
    """Smooth every pixel's curve with a Gaussian of the bias, on the true axis.

    Each one-way stretch of the axis is smoothed by itself, and weights are normalised at its ends.
    The width adds in quadrature to the energy resolution, and biases closer than it become
    correlated, which errors of a fit over biases must include.
    """

    sigma: float = Field(
        default=0.005,
        gt=0.0,
        description="Standard deviation of the Gaussian.",
        json_schema_extra={"unit": "V"},
    )

    def change(self, scan: Prepared) -> tuple[Prepared, Mapping[str, Any]]:
        """Average the planes with Gaussian weights; planes that were not measured do not count."""
        image = scan.image
        if image.ndim != 3 or "bias" not in image.coords:
            raise PreparationError("smooth bias: the image is no stack with biases in V")
        biases = np.asarray(image["bias"].values, float)
        weights = _weights(biases, self.sigma)
        matrix = xr.DataArray(weights, dims=("smoothed", "bias"))
        values = image.drop_vars("bias").astype(np.float64)
        measured = values.notnull()
        total = xr.dot(matrix, values.fillna(0.0), dim="bias")
        norm = xr.dot(matrix, measured.astype(np.float64), dim="bias")
        smooth = (total / norm).rename(smoothed="bias").transpose(*image.dims)
        smooth = smooth.where(measured).astype(image.dtype)
        smooth = smooth.assign_coords(image.coords).assign_attrs(image.attrs).rename(image.name)
        effective = 1.0 / np.square(weights).sum(axis=1)
        return replace(scan, image=smooth), {
            "fwhm_V": float(_FWHM * self.sigma),
            "planes_averaged": float(np.median(effective)),
            "stretches": len(_stretches(biases)),
        }


def _stretches(biases: NDArray[np.float64]) -> list[slice]:
    """Split an axis where its direction turns; a bias that is repeated there turns it once."""
    ends, direction = [0], 0.0
    for plane, step in enumerate(np.sign(np.diff(biases)), start=1):
        if direction and step != direction:
            ends.append(plane)
            direction = 0.0  # the next step that is not zero gives the new one
        elif not direction:
            direction = float(step)
    return [slice(a, b) for a, b in pairwise([*ends, len(biases)])]


def _weights(biases: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Compute the normalised weights (new plane, plane)."""
    weights = np.zeros((len(biases), len(biases)))
    for stretch in _stretches(biases):
        axis = biases[stretch]
        # Planes of an uneven axis count by the piece of the axis that they stand for.
        piece = np.abs(np.gradient(axis)) if len(axis) > 1 else np.ones(1)
        away = (axis[:, None] - axis[None, :]) / sigma
        block = np.where(np.abs(away) <= _REACH, np.exp(-(away**2) / 2), 0.0) * piece
        weights[stretch, stretch] = block / block.sum(axis=1, keepdims=True)
    return weights


STEP = SmoothBias
