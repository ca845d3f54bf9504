"""File > Open Sample: observations made on this machine, with the truth they were made from."""

from __future__ import annotations

from napari_qpi.layers.conversion import LayerData
from napari_qpi.layers.simulated import simulated_layers

__all__ = ["ag111_map", "bi2te3_grid", "bias_grid", "triangular_map"]


def triangular_map() -> list[LayerData]:
    """Show a clean dI/dV map of a triangular lattice and its defects."""
    from qpi_kernels.simulate.scan import samples

    return simulated_layers(samples.triangular_map(), "triangular lattice")


def ag111_map() -> list[LayerData]:
    """Show a noisy dI/dV map like that of the Ag(111) surface state, and its defects."""
    from qpi_kernels.simulate.scan import samples

    return simulated_layers(samples.ag111_map(), "Ag(111)-like")


def bias_grid() -> list[LayerData]:
    """Show a dI/dV grid over bias of a parabolic band, and its defects."""
    from qpi_kernels.simulate.scan import samples

    return simulated_layers(samples.bias_grid(), "bias grid")


def bi2te3_grid() -> list[LayerData]:
    """Show a dI/dV grid over bias of a warped topological surface state, and its defects."""
    from qpi_kernels.simulate.scan import samples

    return simulated_layers(samples.bi2te3_grid(), "Bi2Te3-like grid")
