"""The Python script that repeats an extraction without napari."""

from __future__ import annotations

import base64
import zlib
from textwrap import dedent
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_qpi.tasks.extraction import ExtractionInput

__all__ = ["python_script"]

_MASK_WIDTH = 88


def python_script(
    task: ExtractionInput, *, array_path: str | None = None, expected: dict[str, Any] | None = None
) -> str:
    """Write the script.

    Parameters
    ----------
    task : ExtractionInput
        What was extracted.
    array_path : str, optional
        Where the observation was saved as ``.npy``; needed when it came from no scan file.
    expected : dict, optional
        Provenance of the result; the script checks that it reads the same numbers.

    Returns
    -------
    str
        A complete script that ends with ``kernel.nc``.
    """
    parts = [
        f'"""Extract the kernel of {_one_line(task.image.name)} again, without napari."""',
        _imports(task),
        _observation(task, array_path),
        _defects(task),
        _mask(task.mask),
        _call(task),
        _check(expected),
        'print("\\n".join(result.quality.verdict))\nresult.save("kernel.nc")',
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.replace("\\", "/").replace('"', "'").split())


def _imports(task: ExtractionInput) -> str:
    """Write the imports that the script needs."""
    groups = ["import qpi_kernels as qk"]
    if task.source is None or task.mask is not None:
        arrays = "import numpy as np\n" + ("import xarray as xr\n" if task.source is None else "")
        groups[0] = f"{arrays}\n{groups[0]}"
    if task.mask is not None:
        groups.insert(0, "import base64\nimport zlib\n")
    return "\n".join(groups)


def _observation(task: ExtractionInput, array_path: str | None) -> str:
    """Write the lines that read the observation from its scan file or a saved array."""
    if task.source is None:
        path = array_path or "observation.npy"
        saved = "were saved" if array_path else "have to be saved"
        return (
            f"# The layer {_one_line(task.image.name)} did not come from a scan file, so its data\n"
            f"# {saved} here.\n"
            f"{_array(task.observation, path)}"
        )
    lines = [
        f"scan = qk.open_scan({task.source.path!r})",
        f"observation = scan[{task.source.channel!r}]",
    ]
    if task.source.bias_reversed:
        lines.append("observation = observation.isel(bias=slice(None, None, -1))  # rising bias")
    if task.planes is not None:
        bias = task.observation["bias"].values
        lines.append(
            f"observation = observation.isel(bias={_indices(task.planes)})"
            f"  # {bias[0]:g} to {bias[-1]:g} {task.observation['bias'].attrs.get('units', 'V')}"
        )
    return "\n".join(lines)


def _array(observation: xr.DataArray, path: str) -> str:
    """Write the lines that load the numbers and say what their axes count."""
    lines = [
        "observation = xr.DataArray(",
        f"    np.load({path!r}),",
        f"    dims={observation.dims},",
    ]
    lines.append("    coords={")
    for name, axis in observation.coords.items():
        values = np.asarray(axis.values, float)
        units = dict(axis.attrs)
        if name in ("y", "x"):
            step = float(f"{values[-1] / max(values.size - 1, 1):.12g}")
            numbers = f"{step!r} * np.arange({values.size})"
        else:
            numbers = repr(values.tolist())
        lines.append(f"        {name!r}: ({axis.dims!r}, {numbers}, {units!r}),")
    return "\n".join([*lines, "    },", f"    attrs={dict(observation.attrs)!r},", ")"])


def _indices(planes: list[int]) -> str:
    """Write indices of planes, as a slice where they follow each other."""
    if planes == list(range(planes[0], planes[-1] + 1)):
        return f"slice({planes[0]}, {planes[-1] + 1})"
    return repr(planes)


def _defects(task: ExtractionInput) -> str:
    """Write the table of defects."""
    defects = task.defects
    if not len(defects):
        return ""
    rows = "\n".join(f"        [{row!r}, {col!r}]," for row, col in defects.positions.tolist())
    more = ""
    if len(defects.kinds) > 1:
        more += f"\n    kind={defects.kind.tolist()!r},"
    elif len(defects):
        more += f"\n    kind={defects.kinds[0]!r},"
    if not (defects.strength == 1).all():
        more += f"\n    strength={defects.strength.tolist()!r},"
    return f"defects = qk.Defects(\n    [  # row, column in pixels\n{rows}\n    ],{more}\n)"


def _mask(mask: NDArray[np.bool_] | None) -> str:
    """Write the mask, packed."""
    if mask is None:
        return ""
    packed = base64.b85encode(zlib.compress(np.packbits(mask).tobytes(), 9)).decode()
    starts = range(0, len(packed), _MASK_WIDTH)
    lines = "\n".join(f"    {packed[start : start + _MASK_WIDTH]!r}" for start in starts)
    count = mask.size
    return dedent(
        """\
        # True where a pixel counts; {excluded} of {count} pixels are left out.
        packed = (
        {lines}
        )
        bits = np.frombuffer(zlib.decompress(base64.b85decode(packed)), np.uint8)
        mask = np.unpackbits(bits, count={count}).reshape({shape}).astype(bool)"""
    ).format(excluded=int((~mask).sum()), count=count, lines=lines, shape=tuple(mask.shape))


def _call(task: ExtractionInput) -> str:
    arguments = [f"    {name}={value!r}," for name, value in task.parameters.model_dump().items()]
    if task.mask is not None:
        arguments.insert(0, "    mask=mask,")
    if len(task.defects):
        arguments.insert(0, "    defects,")
    return "\n".join(["result = qk.extract(", "    observation,", *arguments, ")"])


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
