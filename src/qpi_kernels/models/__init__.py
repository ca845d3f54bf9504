"""Networks, their saved folders, and the bundled model."""

from __future__ import annotations

from qpi_kernels.models.folder import KernelModel, ModelFormatError, write_model
from qpi_kernels.models.loading import load_model

__all__ = ["KernelModel", "ModelFormatError", "load_model", "write_model"]
