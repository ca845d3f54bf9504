"""The Python script that computes without napari what a panel of the Inspect dock draws."""

from __future__ import annotations

import re

import xarray as xr

from napari_qpi.tasks.inspection.inspected import Inspected
from napari_qpi.tasks.inspection.state import Inspection
from napari_qpi.tasks.scripts.parts import raw_lines
from napari_qpi.tasks.scripts.preparation import preparation_lines, unsaved_image
from qpi_kernels.scripts.parts import array_lines, imports, mask_lines, one_line

__all__ = [
    "VARIABLES",
    "inspection_script",
    "mask_code",
    "names_in",
    "plane_code",
    "unsaved_kernel",
    "unsaved_map",
]

VARIABLES = {"map": "observation", "kernel": "kernel", "residual": "residual"}
"""Names in a script of the arrays that `Inspected.image` gives."""

_RESULT_MASK = "result.mask"


def inspection_script(
    inspection: Inspection,
    body: str,
    title: str,
    *,
    map_path: str | None = None,
    kernel_path: str | None = None,
) -> str:
    """Write the script.

    Parameters
    ----------
    inspection : Inspection
        What is looked at.
    body : str
        Lines that use the arrays by the names of `VARIABLES`, and ``mask``, ``residual_mask`` and
        ``std``, and ``draws`` where the result has some.
    title : str
        What they compute.
    map_path : str, optional
        Where the map was saved as ``.npy``, see `unsaved_map`.
    kernel_path : str, optional
        Where the result was saved as ``.nc``, or a kernel without one as ``.npy``, see
        `unsaved_kernel`.

    Returns
    -------
    str
        A complete script; of the arrays it reads those that the body uses.
    """
    data = inspection.data
    used = names_in(body)
    parts = []
    from_result = data.map.source is None and data.map.prepared is None and _is_from_result(data)
    if used & {"kernel", "std", "residual", "result"} or (from_result and "observation" in used):
        parts.append(_kernel(data, kernel_path))
    if "observation" in used:
        parts.append(_observation(data, map_path))
    if "mask" in used:
        parts.append(_mask(data))
    if "residual_mask" in used:
        parts.append(f"residual_mask = {_RESULT_MASK}")
    written = "\n\n".join([*parts, body])
    return f'"""{one_line(title)}, without napari."""\n\n{imports(written)}\n\n{written}\n'


def names_in(code: str) -> set[str]:
    """Return the lower-case names that lines of code use."""
    return set(re.findall(r"\b[a-z_]+\b", code))


def mask_code(inspection: Inspection, role: str) -> str:
    """Write the argument that leaves out pixels of an array; empty where all count."""
    if inspection.mask_of(role) is None:
        return ""
    return "mask=residual_mask" if role == "residual" else "mask=mask"


def plane_code(inspection: Inspection, role: str) -> str:
    """Write the plane of an array at the bias on show, one of `VARIABLES`."""
    name = VARIABLES[role]
    if not inspection.is_stack(role):
        return name
    return f"{name}.isel(bias={inspection.index(role)})"


def unsaved_map(data: Inspected) -> xr.DataArray | None:
    """Return the map that a script has to load from an array; None if a file has it."""
    if data.map.prepared is not None:
        return unsaved_image(data.map.prepared)
    return None if data.map.source is not None or _is_from_result(data) else data.map.image


def unsaved_kernel(data: Inspected) -> bool:
    """Return whether a script needs the kernel's result, or its array, in a file yet."""
    return data.kernel.image is not None and data.kernel.path is None


def _is_from_result(data: Inspected) -> bool:
    """Return whether the map was put together from the result of an extraction."""
    return data.kernel.result is not None and data.map.of_result


def _kernel(data: Inspected, path: str | None) -> str:
    """Write the lines that read the kernel."""
    if data.kernel.image is None:
        return ""
    if data.kernel.result is None:
        note = "# The kernel's layer came from no result, so its data have to be saved here.\n"
        return note + array_lines("kernel", data.kernel.image, path or "kernel.npy")
    path = data.kernel.path or path
    saved = "" if path else "  # save the kernel there"
    chosen = "" if data.kernel.kind is None else f".sel(kind={data.kernel.kind!r})"
    lines = [
        f"result = qk.KernelResult.load({path or 'kernel.nc'!r}){saved}",
        f"kernel, std = result.kernel{chosen}, result.std{chosen}",
        "residual = result.residual",
    ]
    if data.kernel.draws is not None:
        lines.append(f"draws = result.draws{chosen}")
    return "\n".join(lines)


def _observation(data: Inspected, path: str | None) -> str:
    """Write the lines that read the map, and those that prepare it."""
    if data.map.image is None:
        return ""
    if data.map.prepared is not None:
        lines = preparation_lines(data.map.prepared, list(data.map.history), path)
        return f"{lines}\n\nobservation = prepared.image"
    if _is_from_result(data):
        return "observation = result.observation"
    return raw_lines("observation", data.map.source, data.map.image, data.map.name, path)


def _mask(data: Inspected) -> str:
    """Write the mask; where none is chosen that of the preparation counts."""
    if data.map.mask is None:
        return "mask = None"
    if _is_from_result(data):
        return f"mask = {_RESULT_MASK}"
    return "mask = prepared.mask" if data.map.prepared_mask else mask_lines(data.map.mask)
