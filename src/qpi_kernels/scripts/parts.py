"""Parts of scripts: arrays, masks, tables of defects, and the imports that they need."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.io.array_records import pack_mask

__all__ = [
    "array_lines",
    "defects_lines",
    "imports",
    "indices",
    "mask_lines",
    "one_line",
    "short_numbers",
]

_MASK_WIDTH = 88
# Share of the largest number by which others may differ from what is written: rounding of single
# precision where a number only finds its plane, else of the arithmetic that made an axis.
_FINDS_A_PLANE, _ROUNDING = 1e-7, 1e-14
_STANDARD = {" replace(": "from dataclasses import replace"}
_THIRD = {
    " Figure(": "from matplotlib.figure import Figure",
    "np.": "import numpy as np",
    "xr.": "import xarray as xr",
}
_OWN = {
    "qk.": "import qpi_kernels as qk",
    "unpack_mask(": "from qpi_kernels.io.array_records import unpack_mask",
}


def one_line(text: str) -> str:
    """Write a layer's name so that it fits into a comment or a docstring."""
    return " ".join(text.replace("\\", "/").replace('"', "'").split())


def imports(body: str) -> str:
    """Write the imports that a script needs."""
    groups = [
        [line for word, line in known.items() if word in body]
        for known in (_STANDARD, _THIRD, _OWN)
    ]
    return "\n\n".join("\n".join(group) for group in groups if group)


def short_numbers(values: ArrayLike, precision: float = _FINDS_A_PLANE) -> list[float]:
    """Round numbers to as few digits as tell them: 0.3 instead of 0.30000000000000004.

    Parameters
    ----------
    values : array, (n,)
        Such as biases in V.
    precision : float
        Allowed difference over the largest magnitude.
    """
    numbers = np.asarray(values, float)
    allowed = precision * float(np.abs(numbers).max(initial=0.0))
    return [_rounded(number, allowed) for number in numbers.tolist()]


def _rounded(number: float, allowed: float) -> float:
    """Take the fewest significant digits that are near enough."""
    shorter = (0.0, *(float(f"{number:.{digits}g}") for digits in range(1, 17)))
    return next((short for short in shorter if abs(short - number) <= allowed), number)


def array_lines(variable: str, image: xr.DataArray, path: str) -> str:
    """Write the lines that load the numbers and say what their axes count."""
    lines = [
        f"{variable} = xr.DataArray(",
        f"    np.load({path!r}),",
        f"    dims={image.dims},",
    ]
    lines.append("    coords={")
    for name, axis in image.coords.items():
        values = np.asarray(axis.values, float)
        units = dict(axis.attrs)
        if name in ("y", "x"):
            step = float(f"{(values[-1] - values[0]) / max(values.size - 1, 1):.12g}")
            numbers = f"{step!r} * np.arange({values.size})"
            if values[0]:
                numbers = f"{float(values[0])!r} + {numbers}"
        else:
            numbers = repr(short_numbers(values, _ROUNDING))
        lines.append(f"        {name!r}: ({axis.dims!r}, {numbers}, {units!r}),")
    return "\n".join([*lines, "    },", f"    attrs={dict(image.attrs)!r},", ")"])


def indices(planes: list[int]) -> str:
    """Write indices of planes, as a slice where they follow each other."""
    if planes == list(range(planes[0], planes[-1] + 1)):
        return f"slice({planes[0]}, {planes[-1] + 1})"
    return repr(planes)


def defects_lines(defects: Defects | None) -> str:
    """Write the table of defects."""
    if defects is None or not len(defects):
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


def mask_lines(mask: NDArray[np.bool_] | None) -> str:
    """Write the mask, packed."""
    if mask is None:
        return ""
    packed = pack_mask(mask)
    bits = packed["bits"]
    starts = range(0, len(bits), _MASK_WIDTH)
    lines = "\n".join(f"    {bits[start : start + _MASK_WIDTH]!r}" for start in starts)
    return (
        f"# True where a pixel counts; {int((~mask).sum())} of {mask.size} pixels are left out.\n"
        f"packed = (\n{lines}\n)\n"
        f'mask = unpack_mask({{"shape": {packed["shape"]}, "bits": packed}})'
    )
