"""The Python script that repeats an extraction without napari."""

from __future__ import annotations

from typing import Any

import xarray as xr

from napari_qpi.tasks.extraction import ExtractionInput
from napari_qpi.tasks.scripts.parts import raw_lines
from napari_qpi.tasks.scripts.preparation import preparation_lines, unsaved_image
from qpi_kernels.scripts.parts import defects_lines, imports, indices, mask_lines, one_line

__all__ = ["python_script", "unsaved_observation"]


def python_script(
    task: ExtractionInput, *, array_path: str | None = None, expected: dict[str, Any] | None = None
) -> str:
    """Write the script.

    Parameters
    ----------
    task : ExtractionInput
        What was extracted.
    array_path : str, optional
        Where the observation was saved as ``.npy``; needed when it came from no scan file. Of a
        prepared observation, its raw image.
    expected : dict, optional
        Provenance of the result; the script checks that it reads the same numbers.

    Returns
    -------
    str
        A complete script that ends with ``kernel.nc``.
    """
    parts = [
        _observation(task, array_path),
        defects_lines(task.defects),
        _mask(task),
        _call(task),
        _check(expected),
        'print("\\n".join(result.quality.verdict))\nresult.save("kernel.nc")',
    ]
    body = "\n\n".join(part for part in parts if part)
    title = f'"""Extract the kernel of {one_line(task.image.name)} again, without napari."""'
    return "\n\n".join([title, imports(body), body]) + "\n"


def unsaved_observation(task: ExtractionInput) -> xr.DataArray | None:
    """Return the image that the script has to load from an array; None if a scan file has it."""
    if task.record is not None:
        return unsaved_image(task.record)
    return task.observation if task.source is None else None


def _observation(task: ExtractionInput, array_path: str | None) -> str:
    """Write the lines that read the observation, and those that prepare it."""
    planes = ""
    if task.planes is not None and (task.record is not None or task.source is not None):
        bias = task.observation["bias"].values
        unit = task.observation["bias"].attrs.get("units", "V")
        chosen = f".isel(bias={indices(task.planes)})  # {bias[0]:g} to {bias[-1]:g} {unit}"
        planes = f"\nobservation = observation{chosen}"
        if task.record is not None:
            planes = f"\nimage = prepared.image{chosen}\nprepared = replace(prepared, image=image)"
    if task.record is not None and task.prepared is not None:
        return preparation_lines(task.record, task.prepared.history, array_path) + planes
    read = raw_lines("observation", task.source, task.observation, task.image.name, array_path)
    return read + planes


def _mask(task: ExtractionInput) -> str:
    """Write the mask; that of a preparation is there already unless the user changed it."""
    if task.record is None:
        return mask_lines(task.mask)
    if not task.own_mask:
        return ""
    return mask_lines(task.mask) + "\nprepared = replace(prepared, mask=mask)"


def _call(task: ExtractionInput) -> str:
    """Write the extraction."""
    arguments = [f"    {name}={value!r}," for name, value in task.parameters.model_dump().items()]
    if task.mask is not None and task.record is None:
        arguments.insert(0, "    mask=mask,")
    if len(task.defects):
        arguments.insert(0, "    defects,")
    observation = "observation" if task.record is None else "prepared"
    return "\n".join(["result = qk.extract(", f"    {observation},", *arguments, ")"])


def _check(expected: dict[str, Any] | None) -> str:
    """Write the comparison with the data that napari had."""
    digest = (expected or {}).get("observation_sha256")
    if not digest:
        return ""
    return (
        "# A hash of the numbers that were used in napari.\n"
        f"expected = {digest!r}\n"
        "if result.provenance['observation_sha256'] != expected:\n"
        '    print("The data differ from those in napari: the layer was edited, or the file.")'
    )
