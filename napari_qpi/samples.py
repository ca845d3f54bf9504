"""File > Open Sample: observations made on this machine, with the truth they were made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_qpi.layers.placement import beside_others
from napari_qpi.layers.simulated import simulated_layers

if TYPE_CHECKING:
    import xarray as xr

    from napari_qpi.layers.conversion import LayerData

__all__ = ["ag111_map", "bi2te3_grid", "bias_grid", "sparse_map", "triangular_map"]


def triangular_map() -> list[LayerData]:
    """Show a clean dI/dV map of a triangular lattice and its defects."""
    from qpi_kernels.simulate.scan import samples

    return _sample(samples.triangular_map(), "triangular lattice")


def ag111_map() -> list[LayerData]:
    """Show a noisy dI/dV map like that of the Ag(111) surface state, and its defects."""
    from qpi_kernels.simulate.scan import samples

    return _sample(samples.ag111_map(), "Ag(111)-like")


def sparse_map() -> list[LayerData]:
    """Show a dI/dV map of which a fifth of the pixels was measured, and its defects."""
    from qpi_kernels.simulate.scan import samples

    return _sample(samples.sparse_map(), "sparse map")


def bias_grid() -> list[LayerData]:
    """Show a dI/dV grid over bias of a parabolic band, and its defects."""
    from qpi_kernels.simulate.scan import samples

    return _sample(samples.bias_grid(), "bias grid")


def bi2te3_grid() -> list[LayerData]:
    """Show a dI/dV grid over bias of a warped topological surface state, and its defects."""
    from qpi_kernels.simulate.scan import samples

    return _sample(samples.bi2te3_grid(), "Bi2Te3-like grid")


def _sample(scan: xr.Dataset, name: str) -> list[LayerData]:
    """Make the layers of a sample, beside what the current viewer shows."""
    from napari import current_viewer

    viewer = current_viewer()
    layers = simulated_layers(scan, name)
    return layers if viewer is None else beside_others(viewer.layers, layers)
