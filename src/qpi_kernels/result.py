"""`KernelResult`: what an extraction gives, and its lossless NetCDF file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from qpi_kernels.defects import Defects
from qpi_kernels.io.atomic_write import replacing
from qpi_kernels.io.formats.netcdf import load_stored
from qpi_kernels.io.scan import ScanFormatError
from qpi_kernels.quality import Quality

__all__ = ["KernelResult", "Quality", "ResultFormatError"]

_TYPE = "KernelResult"


class ResultFormatError(ValueError):
    """A file does not hold a `KernelResult`; the message says what it holds."""


@dataclass(frozen=True)
class KernelResult:
    """A single-defect kernel with its error, fit and history.

    Parameters
    ----------
    kernel, std : xarray.DataArray
        Kernel and posterior standard deviation in the observation's units, dims ``(kind, bias,
        y, x)`` with those of length 1 dropped (``bias`` stays as a scalar coordinate). ``y`` and
        ``x`` count from the kernel's centre, index ``(h//2, w//2)``, in nm (or pixels when the
        observation had no pitch).
    background : xarray.DataArray
        The fitted background, dims of the observation.
    reconstruction, residual : xarray.DataArray
        Prediction (background included), and observation minus prediction; dims of the
        observation, NaN in the residual where nothing was measured.
    defects : Defects
        The positions, kinds and strengths that were used.
    quality : Quality
        Noise, misfit, conditioning, symmetry, and how far the kernel can be trusted.
    provenance : dict
        All parameters, seed, versions and input hashes, JSON-compatible.
    """

    kernel: xr.DataArray
    std: xr.DataArray
    background: xr.DataArray
    reconstruction: xr.DataArray
    residual: xr.DataArray
    defects: Defects
    quality: Quality
    provenance: dict[str, Any] = field(default_factory=dict)

    def save(self, path: str | Path) -> Path:
        """Write everything to a NetCDF file, without loss.

        Parameters
        ----------
        path : path-like
            Where to; the folder must exist. An existing file is replaced only once the new one
            is complete.

        Returns
        -------
        Path
            The file written.
        """
        path = Path(path)
        kernel_dims = {"y": "kernel_y", "x": "kernel_x"}
        arrays = {
            "kernel": self.kernel.rename(kernel_dims),
            "std": self.std.rename(kernel_dims),
            "background": self.background,
            "reconstruction": self.reconstruction,
            "residual": self.residual,
            "defect_position": xr.DataArray(self.defects.positions, dims=("defect", "axis")),
            "defect_kind": xr.DataArray(self.defects.kind.astype(object), dims="defect"),
            "defect_strength": xr.DataArray(self.defects.strength, dims="defect"),
        }
        dataset = xr.Dataset(
            {name: array.drop_attrs(deep=False) for name, array in arrays.items()},
            attrs={
                "qpi_kernels_type": _TYPE,
                "quality": self.quality.model_dump_json(),
                "provenance": json.dumps(self.provenance),
                "arrays": json.dumps(
                    {
                        name: {"attributes": array.attrs, "coordinates": list(array.coords)}
                        for name, array in arrays.items()
                    }
                ),
            },
        )
        with replacing(path) as partial:
            dataset.to_netcdf(partial, engine="h5netcdf")
        return path

    @classmethod
    def load(cls, path: str | Path) -> KernelResult:
        """Read a file written by `save`.

        Raises
        ------
        ResultFormatError
            If the file is not NetCDF or holds something else.
        """
        try:
            dataset = load_stored(Path(path), _TYPE)
        except ScanFormatError as error:
            raise ResultFormatError(str(error)) from error
        stored = json.loads(dataset.attrs["arrays"])

        def array(name: str) -> xr.DataArray:
            """Restore one array of the file with its own coordinates."""
            # A file has one set of scalar coordinates for all arrays; give each its own back.
            found = (
                dataset[name]
                .reset_coords(drop=True)
                .assign_coords(
                    {coord: dataset[coord].variable for coord in stored[name]["coordinates"]}
                )
            )
            kernel_dims = {dim: dim[-1] for dim in ("kernel_y", "kernel_x") if dim in found.dims}
            return found.rename(kernel_dims).assign_attrs(stored[name]["attributes"])

        return cls(
            kernel=array("kernel"),
            std=array("std"),
            background=array("background"),
            reconstruction=array("reconstruction"),
            residual=array("residual"),
            defects=Defects(
                dataset["defect_position"].values,
                np.asarray(dataset["defect_kind"].values, dtype=str),
                dataset["defect_strength"].values,
            ),
            quality=Quality.model_validate_json(dataset.attrs["quality"]),
            provenance=json.loads(dataset.attrs["provenance"]),
        )
