"""The Python script that repeats a preparation without napari."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from napari_qpi.layers.prepared import PreparationRecord
from napari_qpi.tasks.scripts.parts import channel_line, raw_lines
from qpi_kernels.scripts.parts import defects_lines, imports, mask_lines, one_line

__all__ = ["preparation_lines", "preparation_script", "unsaved_image"]

Entry = Mapping[str, Any]


def preparation_script(
    record: PreparationRecord, history: Sequence[Entry], array_path: str | None = None
) -> str:
    """Write the script.

    Parameters
    ----------
    record : PreparationRecord
        What was prepared.
    history : sequence of mapping
        The steps, after those with which the image was prepared before.
    array_path : str, optional
        Where the raw image was saved as ``.npy``; needed when it came from no scan file.

    Returns
    -------
    str
        A complete script that ends with ``prepared.nc``.
    """
    body = preparation_lines(record, history, array_path)
    name = one_line(record.name)
    return (
        f'"""Prepare {name} again, without napari."""\n\n{imports(body)}\n\n{body}\n\n'
        "for step, found in prepared.report.items():\n"
        "    print(step, found)\n"
        'qk.prepare.save_prepared(prepared, "prepared.nc")\n'
    )


def unsaved_image(record: PreparationRecord) -> xr.DataArray | None:
    """Return the raw image that a script has to load from an array; None if a file has it."""
    while record.before is not None:
        record = record.before
    return record.image if record.source is None and record.saved is None else None


def preparation_lines(
    record: PreparationRecord, history: Sequence[Entry], array_path: str | None
) -> str:
    """Write the lines that end with ``prepared``; parameters as for `preparation_script`."""
    if record.saved is not None:
        return f"prepared = qk.prepare.load_prepared({record.saved!r})"
    parts = []
    if record.before is None:
        parts.append(raw_lines("raw", record.source, record.image, record.name, array_path))
    else:
        parts.append(preparation_lines(record.before, history[: record.done], array_path))
    parts += [defects_lines(record.defects), mask_lines(record.mask)]
    given = []
    if record.mask is not None:
        given.append("mask=mask")
    if record.defects is not None and len(record.defects):
        given.append("defects=defects")
    if record.channels and record.source is not None:
        found = ", ".join(
            f"{name!r}: {channel_line(record.source, channel)}"
            for name, channel in record.channels.items()
        )
        given.append(f"channels={{{found}}}")
    steps = "".join(f"    {dict(entry)!r},\n" for entry in history[record.done :])
    parts.append(f"steps = [\n{steps}]")
    if record.before is None:
        parts[-1] += f"\nprepared = qk.prepare.replay({', '.join(['raw', 'steps', *given])})"
    else:
        if given:
            parts[-1] += f"\nprepared = replace({', '.join(['prepared', *given])})"
        parts[-1] += "\nprepared = qk.prepare.replay(prepared, steps)"
    return "\n\n".join(part for part in parts if part)
