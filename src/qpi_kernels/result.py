"""`KernelResult`: what an extraction gives, and its lossless NetCDF file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xarray as xr

from qpi_kernels.defects import Defects
from qpi_kernels.defects.variables import defect_variables, defects_of
from qpi_kernels.io.array_records import unpack_mask
from qpi_kernels.io.stored import load_stored, save_stored
from qpi_kernels.quality import Quality

__all__ = ["KernelResult", "Quality", "ResultFormatError"]

_TYPE = "KernelResult"


class ResultFormatError(ValueError):
    """A file does not hold a `KernelResult`, or is not to; the message says why."""


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
    draws : xarray.DataArray, optional
        Some errors of the kernel drawn from its posterior, dims of the kernel after ``draw``:
        kernel and draw together are a kernel as likely. They tell how errors go together from
        pixel to pixel, which `std` does not. None of methods that draw none.
    """

    kernel: xr.DataArray
    std: xr.DataArray
    background: xr.DataArray
    reconstruction: xr.DataArray
    residual: xr.DataArray
    defects: Defects
    quality: Quality
    provenance: dict[str, Any] = field(default_factory=dict)
    draws: xr.DataArray | None = None

    @property
    def observation(self) -> xr.DataArray:
        """The observation that was extracted from: reconstruction plus residual.

        Equal to what was given but for rounding; NaN where nothing was measured.
        """
        attrs = {"long_name": "observation"} | self.reconstruction.attrs
        observed = self.reconstruction + self.residual
        return observed.rename("observation").assign_attrs(attrs)

    @property
    def mask(self) -> xr.DataArray | None:
        """Which pixels counted, ``(y, x)`` bool; None if all did, or the file does not tell."""
        packed = self.provenance.get("mask")
        if not packed:
            return None
        coords = {name: self.residual[name] for name in ("y", "x") if name in self.residual.coords}
        attrs = {"long_name": "pixel counts", "units": ""}
        return xr.DataArray(
            unpack_mask(packed), dims=("y", "x"), coords=coords, name="counted", attrs=attrs
        )

    def save(self, path: str | Path) -> Path:
        """Write everything to a NetCDF file, without loss, and return the path.

        Parameters
        ----------
        path : path-like
            Ends in ``.nc``; the folder must exist. An existing file is replaced only once the new
            one is complete.

        Raises
        ------
        ResultFormatError
            If the path does not end in ``.nc``.
        """
        kernel_dims = {"y": "kernel_y", "x": "kernel_x"}
        arrays = {
            "kernel": self.kernel.rename(kernel_dims),
            "std": self.std.rename(kernel_dims),
            "background": self.background,
            "reconstruction": self.reconstruction,
            "residual": self.residual,
            **({} if self.draws is None else {"draws": self.draws.rename(kernel_dims)}),
            **defect_variables(self.defects),
        }
        dataset = xr.Dataset(
            {name: array.drop_attrs(deep=False) for name, array in arrays.items()},
            attrs={
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
        return save_stored(dataset, path, _TYPE, ResultFormatError)

    @classmethod
    def load(cls, path: str | Path) -> KernelResult:
        """Read a file written by `save`.

        Raises
        ------
        ResultFormatError
            If the file is not NetCDF or holds something else.
        """
        dataset = load_stored(path, _TYPE, ResultFormatError)
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
            defects=defects_of(dataset),
            quality=Quality.model_validate_json(dataset.attrs["quality"]),
            provenance=json.loads(dataset.attrs["provenance"]),
            draws=array("draws") if "draws" in stored else None,
        )
