"""Saving the kernel of a result from a dock."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_qpi.layers.geometry import GEOMETRY_KEY, scan_angle_deg

if TYPE_CHECKING:
    from qpi_kernels.result import KernelResult

__all__ = ["KERNEL_FILES", "save_shown_kernel"]

KERNEL_FILES = (
    "All of the result, lossless (*.nc);;Kernel for Gwyddion (*.gwy);;"
    "Kernel as TIFF (*.tif *.tiff);;Kernel for NumPy (*.npz)"
)


def save_shown_kernel(result: KernelResult, path: str | Path) -> list[Path]:
    """Save a result by the suffix of a file's name, with the angle of the image it is shown at.

    See `qpi_kernels.kernel_files.save_kernel`.
    """
    from qpi_kernels.kernel_files import save_kernel

    plane = result.provenance.get(GEOMETRY_KEY)
    angle = {} if plane is None else {"scan_angle_deg": scan_angle_deg(plane)}
    return save_kernel(result, path, angle)
