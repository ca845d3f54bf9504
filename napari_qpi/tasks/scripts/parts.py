"""Parts of scripts: arrays, masks, tables of defects, and the imports that they need."""

from __future__ import annotations

import base64
import zlib
from textwrap import dedent

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_qpi.layers.scan_source import ScanSource
from qpi_kernels.defects import Defects

__all__ = [
    "array_lines",
    "channel_line",
    "defects_lines",
    "imports",
    "indices",
    "mask_lines",
    "one_line",
    "raw_lines",
]

_MASK_WIDTH = 88
_STANDARD = {
    "base64.": "import base64",
    "zlib.": "import zlib",
    " replace(": "from dataclasses import replace",
}
_THIRD = {
    " Figure(": "from matplotlib.figure import Figure",
    "np.": "import numpy as np",
    "xr.": "import xarray as xr",
}


def one_line(text: str) -> str:
    """Write a layer's name so that it fits into a comment or a docstring."""
    return " ".join(text.replace("\\", "/").replace('"', "'").split())


def imports(body: str) -> str:
    """Write the imports that a script needs."""
    groups = [
        [line for word, line in known.items() if word in body] for known in (_STANDARD, _THIRD)
    ]
    return "\n\n".join(
        "\n".join(group) for group in [*groups, ["import qpi_kernels as qk"]] if group
    )


def raw_lines(
    variable: str,
    source: ScanSource | None,
    image: xr.DataArray,
    name: str,
    array_path: str | None,
) -> str:
    """Write the lines that read an image from its scan file, or from where it was saved.

    Parameters
    ----------
    variable : str
        What to call it.
    source : ScanSource or None
        Its scan file.
    image : xarray.DataArray
        The image, for its axes.
    name : str
        Name of its layer.
    array_path : str or None
        Where it was saved as ``.npy`` if it came from no file.
    """
    if source is not None:
        lines = f"scan = qk.open_scan({source.path!r})\n{variable} = {channel_line(source)}"
        return lines + ("  # rising bias" if source.bias_reversed else "")
    path = array_path or f"{variable}.npy"
    saved = "were saved" if array_path else "have to be saved"
    return (
        f"# The layer {one_line(name)} did not come from a scan file, so its data\n"
        f"# {saved} here.\n"
        f"{array_lines(variable, image, path)}"
    )


def channel_line(source: ScanSource, channel: str | None = None) -> str:
    """Write one channel of an open scan, with rising biases."""
    turned = ".isel(bias=slice(None, None, -1))" if source.bias_reversed else ""
    return f"scan[{channel or source.channel!r}]{turned}"


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
            numbers = repr(values.tolist())
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
