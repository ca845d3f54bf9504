"""The numbers of a figure as CSV."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from qpi_kernels.io.atomic_write import replacing

__all__ = ["csv_tables", "save_tables"]


def csv_tables(data: xr.Dataset, notes: Mapping[str, Any]) -> dict[str, str]:
    """Write a data set as tables, one for each set of dims.

    Parameters
    ----------
    data : xarray.Dataset
        The variables; those with the same dims share a table.
    notes : mapping
        Written before each table as ``# name: value``.

    Returns
    -------
    dict of str to str
        By the dims that a table is over, joined by ``_``: its text, a row for each point,
        coordinates first, units in the heads, no number rounded. The first variable's comes first.
        Numbers without dims stand among the notes, or in a table where there is no other.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, variable in data.data_vars.items():
        groups.setdefault(tuple(map(str, variable.dims)), []).append(str(name))
    if len(groups) > 1:
        single = {_column(data, name): data[name].item() for name in groups.pop((), [])}
        notes = {**notes, **single}
    head = "".join(f"# {name}: {_one_line(value)}\n" for name, value in notes.items())
    tables = {}
    for axes, names in groups.items():
        dims = axes
        part = data[names]
        part = part.drop_vars([name for name in part.coords if name not in dims])
        if not dims:
            # A table of one row.
            part, dims = part.expand_dims("row").drop_vars("row", errors="ignore"), ("row",)
        frame = part.to_dataframe(dim_order=list(dims)).reset_index()
        frame = frame[[name for name in frame.columns if name in names or name in part.coords]]
        frame = frame.rename(columns={name: _column(data, str(name)) for name in frame.columns})
        text = frame.to_csv(index=False, na_rep="nan", lineterminator="\n")
        tables["_".join(axes)] = head + text
    return tables


def save_tables(tables: Mapping[str, str], path: Path) -> list[Path]:
    """Save tables beside each other: the first under the path, others with their dims in the name.

    Returns
    -------
    list of Path
        The files written.
    """
    written = []
    for number, (dims, text) in enumerate(tables.items()):
        target = path if not number else path.with_stem(f"{path.stem}_{dims or 'numbers'}")
        with replacing(target) as partial:
            partial.write_text(text, encoding="utf-8")
        written.append(target)
    return written


def _column(data: xr.Dataset, name: str) -> str:
    """Write the head of a column: the name, and the unit in brackets."""
    units = str(data[name].attrs.get("units", "")) if name in data.variables else ""
    return f"{name} ({units})" if units else name


def _one_line(value: Any) -> str:
    return " ".join(str(value).split())
