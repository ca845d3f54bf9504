"""`KernelResult`: what an extraction gives, and its lossless NetCDF file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict, Field

from qpi_kernels.defects import Defects
from qpi_kernels.io.atomic_write import replacing
from qpi_kernels.io.exporters import export_array

__all__ = ["KernelResult", "Quality", "ResultFormatError", "kernel_paths", "save_kernel"]

_TYPE = "KernelResult"


class ResultFormatError(ValueError):
    """A file does not hold a `KernelResult`; the message says what it holds."""


class Quality(BaseModel):
    """How far a kernel can be trusted, in numbers and in words.

    Lists have one entry per bias.
    """

    model_config = ConfigDict(ser_json_inf_nan="constants")

    noise_sigma: list[float] = Field(description="pixel noise, in the observation's units")
    reduced_chi2: list[float] = Field(
        description=(
            "residual variance over pixel-noise variance; 1 when only noise is left, NaN when the "
            "fit leaves too few free pixels to tell"
        )
    )
    r_squared: list[float] = Field(description="share of the observation's variance explained")
    fill: float = Field(description="kernel pixels (all kinds) over counted image pixels, k^2/n^2")
    condition: float = Field(description="condition number of the problem that was solved")
    ridge: list[float] = Field(description="ridge strength, as a number of defects of zero signal")
    determined: list[float] = Field(
        description="share of the kernel's free numbers that the data fix; the ridge fixes the rest"
    )
    iterations: int = Field(description="solver iterations, the most over all biases")
    converged: bool = Field(description="whether the solver reached its tolerance")
    symmetry_scores: dict[str, float] = Field(
        description="correlation with its rotated copies, 1 is perfect; imposed ones are left out"
    )
    well_posed: bool = Field(description="whether the data alone determine the kernel")
    verdict: list[str] = Field(description="the same in plain words, the most important first")


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
        Noise, misfit, conditioning, symmetry and a verdict in words.
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
        path = Path(path)
        try:
            with xr.open_dataset(path, engine="h5netcdf") as file:
                dataset = file.load()
        except (OSError, ValueError) as error:
            raise ResultFormatError(f"{path.name}: not readable as NetCDF ({error})") from error
        if dataset.attrs.get("qpi_kernels_type") != _TYPE:
            raise ResultFormatError(
                f"{path.name}: not a kernel result; open scans with qpi_kernels.open_scan"
            )
        stored = json.loads(dataset.attrs["arrays"])

        def array(name: str) -> xr.DataArray:
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


def kernel_paths(result: KernelResult, path: str | Path) -> list[Path]:
    """List the files that `save_kernel` writes: one per kind unless the path ends in ``.nc``."""
    path = Path(path)
    if path.suffix.lower() == ".nc" or "kind" not in result.kernel.dims:
        return [path]
    return [path.with_stem(f"{path.stem}_{kind}") for kind in result.kernel["kind"].values.tolist()]


def save_kernel(
    result: KernelResult, path: str | Path, attributes: Mapping[str, Any] | None = None
) -> list[Path]:
    """Save a result in the format of the path's extension.

    Parameters
    ----------
    result : KernelResult
        What an extraction gave.
    path : path-like
        ``.nc`` keeps everything; ``.gwy``, ``.tif`` and ``.npz`` hold the kernel, one file per
        kind.
    attributes : mapping, optional
        More to note beside the kernel, such as ``scan_angle_deg``.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    qpi_kernels.io.exporters.ExportError
        For any other extension.
    """
    path = Path(path)
    if path.suffix.lower() == ".nc":
        return [result.save(path)]
    kernels = [result.kernel]
    if "kind" in result.kernel.dims:
        kernels = [result.kernel.isel(kind=index) for index in range(result.kernel.sizes["kind"])]
    written = []
    for target, kernel in zip(kernel_paths(result, path), kernels, strict=True):
        notes = {"role": "kernel", **(attributes or {})}
        if "kind" in kernel.coords:
            notes["kind"] = str(kernel["kind"].values)
        written.append(export_array(kernel.assign_attrs(notes), target))
    return written
