"""One kernel of a simulated data set as a NetCDF file, faster to read than the CSV layout."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.io.atomic_write import replacing
from qpi_kernels.simulate.datasets.labels import KernelLabels
from qpi_kernels.simulate.datasets.public_layout import pixel_positions
from qpi_kernels.simulate.datasets.public_lines import DatasetFormatError

__all__ = ["KernelNetcdf", "is_netcdf_name", "netcdf_path", "read_netcdf", "write_netcdf"]

_TYPE = "KernelSamples"
_NAME = re.compile(r"kernel_\d+\.nc", re.IGNORECASE)
_IMAGE = ("sample", "y", "x")


@dataclass(frozen=True, eq=False)
class KernelNetcdf:
    """One kernel's NetCDF file; its observations are read on demand."""

    path: Path
    """The file."""
    number: int
    """The kernel's number."""
    axis: NDArray[np.float64]
    """Pixel coordinates in nm, of x and y alike."""
    kernel: NDArray[np.float32]
    """The single-scatterer image, float32."""
    positions: NDArray[np.float64]
    """Sub-pixel (row, col), NaN where unused."""
    labels: KernelLabels
    """Labels of the kernel."""
    has_noisy: bool
    """True if there are noisy observations too."""

    def read_observations(self, *, noisy: bool = False) -> NDArray[np.float32]:
        """Read the clean or the noisy observations, (sample, y, x)."""
        name = "observation_noisy" if noisy else "observation"
        try:
            with xr.open_dataset(self.path, engine="h5netcdf") as file:
                return np.asarray(file[name].values, np.float32)
        except (OSError, KeyError) as error:
            raise _damaged(self.path, error) from error


def netcdf_path(folder: str | Path, number: int) -> Path:
    """Name a kernel's file, ``kernel_001.nc``."""
    return Path(folder) / f"kernel_{number:03d}.nc"


def is_netcdf_name(path: Path) -> bool:
    """Tell whether a file is named as `netcdf_path` does."""
    return _NAME.fullmatch(path.name) is not None


def write_netcdf(
    path: str | Path,
    *,
    number: int,
    kernel: ArrayLike,
    observations: ArrayLike,
    positions_A: ArrayLike,
    axis_A: ArrayLike,
    observations_noisy: ArrayLike | None = None,
    labels: KernelLabels | None = None,
) -> Path:
    """Write one kernel's file, and return its path.

    Variables ``kernel_true`` (y, x), ``observation`` and ``observation_noisy`` (sample, y, x) in
    float32, ``position`` (sample, defect, axis) in sub-pixel (row, col), coordinates ``x`` and
    ``y`` in nm; the labels are attributes. Nothing is compressed: noise does not shrink.

    Parameters
    ----------
    path : path-like
        See `netcdf_path`. Missing folders are made; an existing file is replaced only once the
        new one is complete.
    number : int
        The kernel's number.
    kernel : array, (y, x)
        The single-scatterer image, whose scatterer lies at coordinate (0, 0).
    observations, observations_noisy : array, (sample, y, x)
        Images.
    positions_A : array, (sample, defect, 2)
        Scatterers as (x, y) in Angstrom, NaN where unused.
    axis_A : array, (side,)
        Evenly spaced pixel coordinates, of x and y alike.
    labels : KernelLabels, optional
        What is known of the kernel.

    Raises
    ------
    ValueError
        If shapes disagree or the axis is not even.
    """
    path = Path(path)
    axis = np.asarray(axis_A, np.float64)
    positions = pixel_positions(np.asarray(positions_A, np.float64), axis)
    images = {"observation": observations, "observation_noisy": observations_noisy}
    known = (labels or KernelLabels()).model_dump(exclude_none=True)
    dataset = xr.Dataset(
        {
            "kernel_true": (("y", "x"), np.asarray(kernel, np.float32)),
            "position": (("sample", "defect", "axis"), positions, {"units": "pixel"}),
            **{
                name: (_IMAGE, np.asarray(image, np.float32))
                for name, image in images.items()
                if image is not None
            },
        },
        coords={name: (name, axis / 10, {"units": "nm"}) for name in ("y", "x")},
        attrs={
            "qpi_kernels_type": _TYPE,
            "number": number,
            **known,
            "parameters": json.dumps(known["parameters"]),
        },
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        dataset.to_netcdf(partial, engine="h5netcdf")
    return path


def read_netcdf(path: str | Path) -> KernelNetcdf:
    """Read one kernel's file, all but the observations.

    Parameters
    ----------
    path : path-like
        A file of `write_netcdf`, of any name.

    Returns
    -------
    KernelNetcdf
        The file's contents.

    Raises
    ------
    DatasetFormatError
        If it is not such a file, or damaged.
    """
    path = Path(path)
    try:
        with xr.open_dataset(path, engine="h5netcdf") as file:
            if file.attrs.get("qpi_kernels_type") != _TYPE:
                reason = "not a kernel of a simulated data set; open scans with open_scan"
                raise DatasetFormatError(path, reason)
            if file["observation"].dims != _IMAGE:
                raise KeyError("observation")
            return KernelNetcdf(
                path=path,
                number=int(file.attrs["number"]),
                axis=file["x"].values,
                kernel=file["kernel_true"].values,
                positions=file["position"].values,
                labels=_labels(file.attrs),
                has_noisy="observation_noisy" in file,
            )
    except DatasetFormatError:
        raise
    except (OSError, KeyError, ValueError) as error:
        raise _damaged(path, error) from error


def _labels(attributes: dict[str, Any]) -> KernelLabels:
    """Read the labels from a file's attributes."""
    found = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in attributes.items()
        if name in KernelLabels.model_fields
    }
    return KernelLabels(**{**found, "parameters": json.loads(found["parameters"])})


def _damaged(path: Path, error: Exception) -> DatasetFormatError:
    """Make the error about a file that cannot be read."""
    return DatasetFormatError(path, f"not readable as NetCDF ({error}); write or copy it again")
