"""Lines of scripts that read what a layer shows."""

from __future__ import annotations

import xarray as xr

from napari_qpi.layers.scan_source import ScanSource
from qpi_kernels.scripts.parts import array_lines, one_line

__all__ = ["channel_line", "raw_lines"]


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
