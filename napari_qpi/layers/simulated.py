"""A simulated scan as layers: the map, its true defects and, when asked for, its true kernel."""

from __future__ import annotations

from typing import Any

import xarray as xr

from napari_qpi.layers.conversion import METADATA_KEY, LayerData, bias_values, points_from_defects
from napari_qpi.layers.geometry import last_axes, moved_columns, stack_geometry
from napari_qpi.layers.placement import gap_columns
from napari_qpi.layers.result import SIGNED_COLORMAP
from napari_qpi.layers.scan import scan_layers
from qpi_kernels.defects import Defects
from qpi_kernels.inspect.colours import colour_limits

__all__ = ["simulated_layers"]

_GEOMETRY = ("scale", "translate", "rotate", "units", "axis_labels")


def simulated_layers(
    sample: xr.Dataset, name: str, *, with_kernel: bool = False
) -> list[LayerData]:
    """Show a simulated scan.

    Parameters
    ----------
    sample : xarray.Dataset
        From `qpi_kernels.simulate`: a scan with the truth beside it; see `scan_with_truth`.
    name : str
        What the layers' names begin with.
    with_kernel : bool
        Show the true kernel too, right of the map.

    Returns
    -------
    list of tuple
        Layer data from bottom to top: the true kernel if asked for, the map, the true defects.
        Kernel and defects are in the map's metadata as well.
    """
    defects = Defects(sample["defect_position"].values, sample["defect_kind"].values.astype(str))
    observation = sample[["didv"]]
    observation["didv"].attrs.setdefault("quantity", "didv")
    ((data, arguments, kind),) = scan_layers(observation, name)
    truth = {"kernel_true": sample["kernel_true"], "defects_true": defects}
    arguments["metadata"][METADATA_KEY] |= truth
    geometry = {axis: arguments[axis] for axis in _GEOMETRY}
    points = points_from_defects(defects, geometry, name=f"{name} true defects")
    layers = [(data, arguments, kind), points]
    if with_kernel:
        # Below the map, for the topmost image is what the other panels take for the map.
        layers.insert(0, _kernel_layer(sample, name, geometry))
    return layers


def _kernel_layer(sample: xr.Dataset, name: str, geometry: dict[str, Any]) -> LayerData:
    """Show the true kernel right of its map."""
    kernel = sample["kernel_true"].rename(kernel_y="y", kernel_x="x")
    width = sample["didv"].sizes["x"]
    beside = moved_columns(last_axes(geometry, 2), width + gap_columns(width))
    known = {
        "role": "true kernel",
        "units": kernel.attrs.get("units", ""),
        "quantity": "didv",
        "bias": bias_values(kernel),
        "scan": dict(sample.attrs),
    }
    arguments = {
        "name": f"{name} true kernel",
        "colormap": SIGNED_COLORMAP,
        "contrast_limits": colour_limits(kernel.data, signed=True),
        "metadata": {METADATA_KEY: known},
        **stack_geometry(beside, kernel),
    }
    return kernel.data, arguments, "image"
