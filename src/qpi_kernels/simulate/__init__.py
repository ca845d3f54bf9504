"""Simulated kernels and maps with known truth."""

from qpi_kernels.simulate.bands import ParabolicBand
from qpi_kernels.simulate.observation import observe, scatter_defects
from qpi_kernels.simulate.scattering import single_defect

__all__ = ["ParabolicBand", "observe", "scatter_defects", "single_defect"]
