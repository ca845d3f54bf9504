"""The lossless NetCDF file of a prepared image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from qpi_kernels.defects.variables import defect_variables, defects_of
from qpi_kernels.io.stored import holds_type, load_stored, save_stored
from qpi_kernels.prepare.prepared import PreparationError, Prepared, Sampled

__all__ = ["is_prepared_file", "load_prepared", "save_prepared"]

_TYPE = "Prepared"


def save_prepared(prepared: Prepared, path: str | Path) -> Path:
    """Write a prepared image with all that belongs to it, without loss, and return the path.

    What a moved image was read from is written, too, so that a next move repeats bit for bit.
    Attributes that JSON can not hold become text.

    Parameters
    ----------
    prepared : Prepared
        What to write; a lazy image is computed.
    path : path-like
        Ends in ``.nc``; the folder must exist. An existing file is replaced only once the new one
        is complete. `qpi_kernels.open_scan` gives image and mask of it.

    Raises
    ------
    PreparationError
        If the path does not end in ``.nc``.
    """
    arrays = {"image": prepared.image}
    arrays |= {f"channel {name}": channel for name, channel in prepared.channels.items()}
    stored = {}
    sampled = prepared.sampled
    if sampled is not None and sampled.image is prepared.image:
        arrays["source"] = sampled.source
        stored["source_position"] = xr.DataArray(sampled.positions, dims=("axis", "y", "x"))
        stored["source_known"] = xr.DataArray(sampled.known.astype(np.int8), dims=("y", "x"))
    others = {}
    for name, array in arrays.items():
        # The source has pixels of its own, other channels have biases of their own.
        kept = {"image": array.ndim, "source": 0}.get(name, 2)
        own = {dim: f"{dim} of {name}" for dim in array.dims[: array.ndim - kept]}
        others[name] = [
            key for key, coord in array.coords.items() if coord.ndim and key not in array.dims
        ]
        for key in others[name]:
            dims = [own.get(dim, dim) for dim in array.coords[key].dims]
            stored[f"{key} of {name}"] = xr.DataArray(array.coords[key].values, dims=dims)
        stored[name] = array.reset_coords(drop=True).rename(own).drop_attrs(deep=False)
    stored["mask"] = xr.DataArray(prepared.mask.astype(np.int8), dims=("y", "x"))
    if prepared.defects is not None:
        stored |= defect_variables(prepared.defects)
    report, tables = _without_tables(prepared.report)
    for number, table in enumerate(tables):
        dims = [f"axis {axis} of table {number}" for axis in range(table.ndim)]
        stored[f"table {number}"] = xr.DataArray(table, dims=dims)
    described = {
        name: {
            "name": array.name if isinstance(array.name, str) else None,
            "attributes": _plain(array.attrs),
            "coordinates": [str(dim) for dim in array.dims if dim in array.coords],
            "others": {str(key): _plain(array.coords[key].attrs) for key in others[name]},
            "scalars": {
                str(coord): {"value": _plain(value.values), "attributes": _plain(value.attrs)}
                for coord, value in array.coords.items()
                if value.ndim == 0
            },
        }
        for name, array in arrays.items()
    }
    dataset = xr.Dataset(stored).assign_attrs(
        arrays=json.dumps(described, default=str),
        report=json.dumps(report),
        history=json.dumps(list(prepared.history)),
    )
    return save_stored(dataset, path, _TYPE, PreparationError)


def load_prepared(path: str | Path) -> Prepared:
    """Read a file written by `save_prepared`.

    Raises
    ------
    PreparationError
        If the file is not NetCDF or holds something else.
    """
    dataset = load_stored(path, _TYPE, PreparationError)
    described = json.loads(dataset.attrs["arrays"])

    restored = {name: _restored(dataset, name, known) for name, known in described.items()}
    defects = defects_of(dataset) if "defect_position" in dataset else None
    image, sampled = restored["image"], None
    if "source" in dataset:
        positions = dataset["source_position"].values
        known = np.ones(positions.shape[1:], bool)
        if "source_known" in dataset:  # not in files of before it was kept
            known = dataset["source_known"].values.astype(bool)
        sampled = Sampled(image, restored["source"], positions, known)
    return Prepared(
        image,
        dataset["mask"].values.astype(bool),
        defects,
        report=_with_tables(json.loads(dataset.attrs["report"]), dataset),
        history=tuple(json.loads(dataset.attrs["history"])),
        channels={
            name.removeprefix("channel "): channel
            for name, channel in restored.items()
            if name.startswith("channel ")
        },
        sampled=sampled,
    )


def _restored(dataset: xr.Dataset, name: str, known: Mapping[str, Any]) -> xr.DataArray:
    """Restore one array with its name, dims, coordinates and attributes."""
    found = dataset[name]
    ending = f" of {name}"
    back = {str(dim): str(dim).removesuffix(ending) for dim in found.dims}
    found = found.rename({old: new for old, new in back.items() if old != new})
    # A file has one y and one x for all arrays; an array without keeps none.
    found = found.drop_vars([dim for dim in found.coords if dim not in known["coordinates"]])
    for coord, scalar in known["scalars"].items():
        found = found.assign_coords({coord: ((), scalar["value"], scalar["attributes"])})
    for coord, attributes in known.get("others", {}).items():
        values = dataset[f"{coord} of {name}"]
        dims = [str(dim).removesuffix(ending) for dim in values.dims]
        found = found.assign_coords({coord: (dims, values.values, attributes)})
    found = found.assign_attrs(_tuples(known["attributes"])).rename(known["name"])
    found.encoding = {}
    return found


def is_prepared_file(path: str | Path) -> bool:
    """Tell whether a file was written by `save_prepared`."""
    return holds_type(path, _TYPE)


def _without_tables(
    report: Mapping[str, Mapping[str, Any]],
) -> tuple[dict[str, Any], list[np.ndarray[Any, Any]]]:
    """Put ``{"table": number}`` in place of every array of a report; return the arrays."""
    tables: list[np.ndarray[Any, Any]] = []

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.ndim:
            tables.append(value)
            return {"table": len(tables) - 1, "dtype": str(value.dtype)}
        return _plain(value)

    kept = {step: {key: plain(v) for key, v in found.items()} for step, found in report.items()}
    return kept, tables


def _with_tables(report: dict[str, Any], dataset: xr.Dataset) -> dict[str, Any]:
    """Give a report its arrays back."""

    def full(value: Any) -> Any:
        if isinstance(value, dict) and "table" in value:
            return dataset[f"table {value['table']}"].values.astype(value["dtype"])
        return value

    return {step: {key: full(v) for key, v in found.items()} for step, found in report.items()}


def _plain(value: Any) -> Any:
    """Turn numpy's numbers and arrays into what JSON holds."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def _tuples(attributes: dict[str, Any]) -> dict[str, Any]:
    """Make pairs of numbers tuples again, as readers give them."""
    return {
        name: tuple(value) if name == "offset_nm" else value for name, value in attributes.items()
    }
