"""Saving the kernel of a result by the suffix of a file's name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qpi_kernels.result import KernelResult

__all__ = ["KERNEL_FILES", "save_kernel"]

KERNEL_FILES = (
    "All of the result, lossless (*.nc);;Kernel for Gwyddion (*.gwy);;"
    "Kernel as TIFF (*.tif);;Kernel for NumPy (*.npz)"
)


def save_kernel(result: KernelResult, path: str | Path) -> list[Path]:
    """Save a result.

    Parameters
    ----------
    result : KernelResult
        What an extraction gave.
    path : path-like
        ``.nc`` keeps everything; ``.gwy``, ``.tif`` and ``.npz`` hold the kernel, one file per
        kind.

    Returns
    -------
    list of Path
        The files written.
    """
    path = Path(path)
    if path.suffix.lower() == ".nc":
        return [result.save(path)]
    from qpi_kernels.io.exporters import export_array

    kernel = result.kernel
    if "kind" not in kernel.dims:
        return [Path(export_array(kernel, path))]
    return [
        Path(export_array(kernel.sel(kind=kind), path.with_stem(f"{path.stem}_{kind}")))
        for kind in kernel["kind"].values.tolist()
    ]
