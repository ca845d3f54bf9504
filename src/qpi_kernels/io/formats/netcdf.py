"""NetCDF: saved scans without loss, our saved kernels and prepared images, and others' maps."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qpi_kernels.io.array_geometry import pitch_of, without_bias
from qpi_kernels.io.physical_units import in_project_units, quantity_of
from qpi_kernels.io.registry import ScanFormat
from qpi_kernels.io.scan import Channel, ScanFormatError, scan_dataset
from qpi_kernels.io.stored import NETCDF, TYPE_ATTRIBUTE, save_stored, stored_type

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FORMAT", "read", "save_scan"]

_JSON_ATTRIBUTE = "qpi_kernels_json"
_SCAN = "Scan"
_MAX_UNPACKED = 1024**3
_MAX_RATIO = 200
_BIAS_NAMES = ("bias", "voltage", "v")


def save_scan(dataset: xr.Dataset, path: str | Path) -> Path:
    """Write a scan to NetCDF, without loss, and return the path.

    Parameters
    ----------
    dataset : xarray.Dataset
        From `qpi_kernels.io.open_scan`, possibly changed.
    path : path-like
        Ends in ``.nc``. An existing file is replaced only once the new one is complete.

    Raises
    ------
    ValueError
        If the path does not end in ``.nc``.
    """
    stored = dataset.assign_attrs()
    stored.attrs = _encoded(stored.attrs)
    for name in stored.variables:
        stored[name].attrs = _encoded(stored[name].attrs)
    return save_stored(stored, path, _SCAN)


def read(path: str | Path) -> xr.Dataset:
    """Read a NetCDF file.

    Parameters
    ----------
    path : path-like
        A file of `save_scan`, which comes back as it was; a saved ``KernelResult``, whose kernel
        becomes a channel; a saved ``Prepared``, whose image and mask become channels; or any
        NetCDF with variables over ``y`` and ``x``.

    Returns
    -------
    xarray.Dataset
        See `qpi_kernels.io.open_scan`.

    Raises
    ------
    ScanFormatError
        If the file holds no image, or announces far more data than it holds. For a damaged file
        `open_scan` turns the NetCDF library's own error into this one.
    """
    import xarray as xr

    path = Path(path)
    with path.open("rb") as file:
        engine = "scipy" if file.read(3) == b"CDF" else "h5netcdf"
    with xr.open_dataset(path, engine=engine, decode_times=False) as stored:
        _check_size(stored, path)
        dataset = stored.load()
    kind = dataset.attrs.get(TYPE_ATTRIBUTE)
    if kind == _SCAN:
        return _decoded_scan(dataset)
    if kind == "KernelResult":
        return _kernel(dataset, path)
    if kind == "Prepared":
        return _prepared(dataset, path)
    return _foreign(dataset, path)


def _check_size(dataset: xr.Dataset, path: Path) -> None:
    """Refuse variables that are far larger than the file: HDF5 need not store what is empty."""
    present = path.stat().st_size
    if dataset.nbytes > max(_MAX_UNPACKED, _MAX_RATIO * present):
        reason = f"it announces {dataset.nbytes} bytes of data in a file of {present}"
        raise ScanFormatError(path, NETCDF, reason)


def _encoded(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Turn what NetCDF attributes cannot hold (dict, bool, None, tuple) into JSON text."""
    plain: dict[str, Any] = {}
    as_json = []
    for name, value in attributes.items():
        if isinstance(value, (str, int, float, np.number, np.ndarray)) and not isinstance(
            value, bool
        ):
            plain[str(name)] = value
        else:
            plain[str(name)] = json.dumps(value)
            as_json.append(str(name))
    return {**plain, _JSON_ATTRIBUTE: json.dumps(as_json)} if as_json else plain


def _decoded(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    plain = {str(name): _as_python(value) for name, value in attributes.items()}
    for name in json.loads(plain.pop(_JSON_ATTRIBUTE, "[]")):
        plain[name] = json.loads(plain[name])
    if isinstance(plain.get("offset_nm"), list):
        plain["offset_nm"] = tuple(plain["offset_nm"])
    return plain


def _as_python(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _decoded_scan(dataset: xr.Dataset) -> xr.Dataset:
    """Give a stored scan its attributes back."""
    dataset.attrs = _decoded(dataset.attrs)
    del dataset.attrs[TYPE_ATTRIBUTE]
    for name in dataset.variables:
        dataset[name].attrs = _decoded(dataset[name].attrs)
        dataset[name].encoding = {}
    dataset.encoding = {}
    return dataset


def _kernel(dataset: xr.Dataset, path: Path) -> xr.Dataset:
    """Make channels of a saved result's kernel, one for each kind of defect."""
    kernel = dataset["kernel"].rename(kernel_y="y", kernel_x="x")
    arrays = json.loads(dataset.attrs.get("arrays", "{}"))
    units = str(arrays.get("kernel", {}).get("attributes", {}).get("units", ""))
    kinds = [kernel]
    if "kind" in kernel.dims:
        kinds = [kernel.isel(kind=index) for index in range(kernel.sizes["kind"])]
    channels = []
    for image in kinds:
        kind = str(image.coords["kind"].values) if "kind" in image.coords else ""
        channels.append(Channel(f"kernel {kind}".strip(), image.values, units))
    bias = kernel.coords["bias"].values if "bias" in kernel.coords else None
    header = {key: value for key, value in dataset.attrs.items() if key != "arrays"}
    return _scan_of(channels, path, kernel, bias, header=header)


def _prepared(dataset: xr.Dataset, path: Path) -> xr.Dataset:
    """Make channels of a prepared image and of its mask (1 where a pixel counts)."""
    image = dataset["image"]
    known = json.loads(dataset.attrs["arrays"])["image"]
    notes = known["attributes"]
    bias = known["scalars"].get("bias", {}).get("value")
    if "bias" in image.dims:
        bias = image["bias"].values
    label = str(notes.get("long_name") or known["name"] or "image")
    channels = [
        Channel(
            label,
            image.values,
            str(notes.get("units", "")),
            notes.get("quantity", "other"),
            notes.get("direction", "none"),
            str(notes.get("derived", "")),
        ),
        Channel("mask", dataset["mask"].values.astype(np.float32), ""),
    ]
    return _scan_of(
        channels,
        path,
        image,
        bias,
        offset_nm=tuple(notes.get("offset_nm", (0.0, 0.0))),
        scan_angle_deg=float(notes.get("scan_angle_deg", 0.0)),
        header={"history": dataset.attrs["history"]},
    )


def _foreign(dataset: xr.Dataset, path: Path) -> xr.Dataset:
    """Take the real-valued variables over y and x, and at most one more dimension."""
    dataset = dataset.rename({name: str(name).lower() for name in _upper_case(dataset)})
    images = [
        variable
        for variable in dataset.data_vars.values()
        if {"y", "x"} <= set(variable.dims)
        and variable.ndim in (2, 3)
        and variable.dtype.kind in "fiub"
        and variable.size
    ]
    if not images:
        found = ", ".join(f"{name} {variable.dims}" for name, variable in dataset.data_vars.items())
        reason = f"no variable over y and x; it holds {found[:200] or 'nothing'}"
        raise ScanFormatError(path, NETCDF, reason)
    stacked = [variable.dims for variable in images if variable.ndim == 3]
    first_dim = next((dim for dims in stacked for dim in dims if dim not in ("y", "x")), None)
    images = [image for image in images if image.ndim == 2 or first_dim in image.dims]
    channels = []
    for image in images:
        label = str(image.attrs.get("long_name") or image.name)
        factor, units = in_project_units(str(image.attrs.get("units", "")))
        ordered = image.transpose(*([first_dim] if image.ndim == 3 else []), "y", "x")
        data = (ordered.values * factor).astype(np.float32)
        channels.append(Channel(label, data, units, quantity_of(label, units)))
    complete = not any(np.isnan(channel.data).any() for channel in channels)
    bias, image = _foreign_bias(dataset, first_dim), _lengths_in_nm(images[0])
    return _scan_of(channels, path, image, bias, complete=complete, header=dataset.attrs)


def _scan_of(
    channels: list[Channel],
    path: Path,
    image: xr.DataArray,
    bias: np.ndarray | float | None,
    **known: Any,
) -> xr.Dataset:
    """Make a scan with the pixel pitch of an image; more is known as for `scan_dataset`."""
    pitch = pitch_of(image)
    scan = scan_dataset(channels, source=path, format=NETCDF, pixel_nm=pitch, bias=bias, **known)
    return without_bias(scan)


def _upper_case(dataset: xr.Dataset) -> list[Hashable]:
    names = set(dataset.dims) | set(dataset.coords)
    return [name for name in names if str(name) in ("X", "Y") and str(name).lower() not in names]


def _lengths_in_nm(image: xr.DataArray) -> xr.DataArray:
    """Convert the coordinates ``y`` and ``x`` to nm."""
    for axis in ("y", "x"):
        if axis in image.coords:
            coordinate = image.coords[axis]
            factor, units = in_project_units(str(coordinate.attrs.get("units", "")))
            image = image.assign_coords(
                {axis: (axis, coordinate.values * factor, {"units": units})}
            )
    return image


def _foreign_bias(dataset: xr.Dataset, first_dim: Hashable | None) -> np.ndarray | None:
    """Return the bias in V of the first dimension, or of images that all share one."""
    for name in _BIAS_NAMES if first_dim is None else (str(first_dim),):
        if name.lower() not in _BIAS_NAMES or name not in dataset.coords:
            continue
        coordinate = dataset.coords[name]
        factor, unit = in_project_units(str(coordinate.attrs.get("units", "V")))
        if unit == "V" and (coordinate.ndim == 1) == (first_dim is not None):
            return np.asarray(coordinate.values, float) * factor
    return None


FORMAT = ScanFormat(
    NETCDF,
    (".nc",),
    lambda head: head.startswith((b"\x89HDF\r\n\x1a\n", b"CDF")),
    read,
    shared=True,
    written_here=lambda path: stored_type(path) is not None,
)
