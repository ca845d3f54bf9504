"""File > Open Sample: observations made on this machine, with the truth they were made from."""

from __future__ import annotations

import xarray as xr

from napari_qpi.layers import METADATA_KEY, LayerData, points_from_defects
from napari_qpi.scan_layers import scan_layers
from qpi_kernels.defects import Defects

__all__ = ["ag111_map", "bias_grid", "triangular_map"]

_GEOMETRY = ("scale", "translate", "rotate", "units", "axis_labels")


def triangular_map() -> list[LayerData]:
    """Show a clean dI/dV map of a triangular lattice and its defects."""
    from qpi_kernels.simulate import samples

    return _sample_layers(samples.triangular_map(), "triangular lattice")


def ag111_map() -> list[LayerData]:
    """Show a noisy dI/dV map like that of the Ag(111) surface state, and its defects."""
    from qpi_kernels.simulate import samples

    return _sample_layers(samples.ag111_map(), "Ag(111)-like")


def bias_grid() -> list[LayerData]:
    """Show a dI/dV grid over bias of a parabolic band, and its defects."""
    from qpi_kernels.simulate import samples

    return _sample_layers(samples.bias_grid(), "bias grid")


def _sample_layers(sample: xr.Dataset, name: str) -> list[LayerData]:
    """Show the observation; the true kernel and defects go into its metadata."""
    defects = Defects(sample["defect_position"].values, sample["defect_kind"].values.astype(str))
    truth = {"kernel_true": sample["kernel_true"], "defects_true": defects}
    observation = sample[["didv"]]
    observation["didv"].attrs.setdefault("quantity", "didv")
    ((data, arguments, kind),) = scan_layers(observation, name)
    arguments["metadata"][METADATA_KEY] |= truth
    geometry = {axis: arguments[axis] for axis in _GEOMETRY}
    points = points_from_defects(defects, geometry, name=f"{name} true defects")
    return [(data, arguments, kind), points]
