"""Where the defects are: the table, finding and snapping them, and the activation map."""

from qpi_kernels.defects.table import DefectFormatError, Defects

__all__ = ["DefectFormatError", "Defects"]
