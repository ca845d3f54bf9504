"""A simulated map in the form of a scan file, with the truth beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from qpi_kernels.defects import Defects

__all__ = ["scan_with_truth"]


def scan_with_truth(
    didv: xr.DataArray,
    kernel: xr.DataArray,
    defects: Defects,
    *,
    name: str,
    header: Mapping[str, Any],
) -> xr.Dataset:
    """Assemble what `open_scan` would give for the map, and what it was made from.

    Parameters
    ----------
    didv : xarray.DataArray
        The map, ``(y, x)`` or ``(bias, y, x)``, in units of the kernel.
    kernel : xarray.DataArray
        The true kernel, ``(y, x)`` or ``(bias, y, x)``.
    defects : Defects
        Where the defects appear in the map.
    name : str
        Of the material, for display.
    header : mapping
        What was simulated; values are kept as text.

    Returns
    -------
    xarray.Dataset
        The variables ``didv``; ``kernel_true`` with dims ``kernel_y`` and ``kernel_x``;
        ``defect_position`` ``(defect, axis)`` as (row, col) in pixels; ``defect_kind``.
    """
    truth = kernel.rename(y="kernel_y", x="kernel_x").astype(np.float32)
    known = {"direction": "none", "derived": "", "units": "1/(eV nm^2)"}
    return xr.Dataset(
        {
            "didv": didv.astype(np.float32).assign_attrs(known),
            "kernel_true": truth,
            "defect_position": (("defect", "axis"), defects.positions),
            "defect_kind": ("defect", defects.kind.astype(object)),
        },
        attrs={
            "source": f"simulated: {name}",
            "format": "simulation",
            "scan_angle_deg": 0.0,
            "offset_nm": (0.0, 0.0),
            "setpoint": "",
            "complete": bool(np.isfinite(didv.values).all()),
            "header": {key: str(value) for key, value in header.items()},
        },
    )
