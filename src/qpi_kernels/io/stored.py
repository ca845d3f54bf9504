"""NetCDF files of this library, each marked with the type that it holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qpi_kernels.io.atomic_write import replacing
from qpi_kernels.io.scan import ScanFormatError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["NETCDF", "TYPE_ATTRIBUTE", "holds_type", "load_stored", "save_stored", "stored_type"]

NETCDF = "NetCDF .nc"
TYPE_ATTRIBUTE = "qpi_kernels_type"


def save_stored(
    dataset: xr.Dataset, path: str | Path, kind: str, error: type[ValueError] = ValueError
) -> Path:
    """Write a data set, marked with its type.

    Parameters
    ----------
    dataset : xarray.Dataset
        All of its attributes can stand in NetCDF.
    path : path-like
        Ends in ``.nc``; the folder must exist. An existing file is replaced only once the new one
        is complete.
    kind : str
        The type, such as ``"KernelResult"``.
    error : type
        Raised if the path does not end in ``.nc``.
    """
    path = Path(path)
    if path.suffix.lower() != ".nc":
        raise error(f"{path.name}: this is saved as NetCDF; end the name in .nc")
    with replacing(path) as partial:
        dataset.assign_attrs({TYPE_ATTRIBUTE: kind}).to_netcdf(partial, engine="h5netcdf")
    return path


def load_stored(path: str | Path, kind: str, error: type[ValueError]) -> xr.Dataset:
    """Load the data set of a file that holds a type.

    Parameters
    ----------
    path : path-like
        The file.
    kind : str
        What it must hold, such as ``"KernelResult"``.
    error : type
        Raised if the file is missing, not NetCDF, or holds something else.
    """
    import xarray as xr

    path = Path(path)
    if not path.is_file():
        raise error(f"{path}: there is no such file")
    try:
        with xr.open_dataset(path, engine="h5netcdf") as file:
            dataset = file.load()
    except (OSError, ValueError) as cause:
        raise error(str(ScanFormatError(path, NETCDF, str(cause)))) from cause
    if dataset.attrs.get(TYPE_ATTRIBUTE) != kind:
        reason = f"it holds no {kind}"
        if kind == "KernelResult":
            reason += ": extract the kernel of a scan first (napari-qpi extract, or qk.extract)"
        raise error(str(ScanFormatError(path, NETCDF, reason)))
    return dataset


def stored_type(path: Path) -> str | None:
    """Return ``Scan``, ``KernelResult`` or ``Prepared`` for a file of this library, else None."""
    import h5netcdf

    try:
        with h5netcdf.File(path, "r") as file:
            found = file.attrs.get(TYPE_ATTRIBUTE)
    except (OSError, ValueError, KeyError):
        return None
    return None if found is None else str(found)


def holds_type(path: str | Path, kind: str) -> bool:
    """Tell whether a path ends in ``.nc`` and its file holds a type."""
    path = Path(path)
    return path.suffix.lower() == ".nc" and stored_type(path) == kind
