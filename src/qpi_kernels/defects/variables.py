"""Tables of defects as variables of a data set."""

from __future__ import annotations

import numpy as np
import xarray as xr

from qpi_kernels.defects.table import Defects

__all__ = ["defect_variables", "defects_of"]

_PROBABILITY = "defect_probability"


def defect_variables(defects: Defects) -> dict[str, xr.DataArray]:
    """Store a table as ``defect_position`` (defect, axis), ``defect_kind`` and ``defect_strength``.

    Positions are (row, col) in pixels. Where it is not 1, there is ``defect_probability``, too.
    """
    variables = {
        "defect_position": xr.DataArray(defects.positions, dims=("defect", "axis")),
        "defect_kind": xr.DataArray(defects.kind.astype(object), dims="defect"),
        "defect_strength": xr.DataArray(defects.strength, dims="defect"),
    }
    if not (defects.probability == 1).all():
        variables[_PROBABILITY] = xr.DataArray(defects.probability, dims="defect")
    return variables


def defects_of(dataset: xr.Dataset) -> Defects:
    """Restore the table of `defect_variables`."""
    return Defects(
        dataset["defect_position"].values,
        np.asarray(dataset["defect_kind"].values, dtype=str),
        dataset["defect_strength"].values,
        dataset[_PROBABILITY].values if _PROBABILITY in dataset else None,
    )
