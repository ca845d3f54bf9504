"""Single-defect kernels from scanning-tunnelling-microscopy maps: read, mark, extract, write.

Everything public is imported on first use, so ``import qpi_kernels`` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qpi_kernels import progress as progress
    from qpi_kernels import simulate as simulate
    from qpi_kernels.defects import Defects as Defects
    from qpi_kernels.extraction import extract as extract
    from qpi_kernels.io import ScanFormatError as ScanFormatError
    from qpi_kernels.io import open_scan as open_scan
    from qpi_kernels.models import load_model as load_model
    from qpi_kernels.result import KernelResult as KernelResult

_HOMES = {
    "open_scan": "qpi_kernels.io",
    "ScanFormatError": "qpi_kernels.io",
    "Defects": "qpi_kernels.defects",
    "extract": "qpi_kernels.extraction",
    "KernelResult": "qpi_kernels.result",
    "load_model": "qpi_kernels.models",
    "simulate": "qpi_kernels.simulate",
    "progress": "qpi_kernels.progress",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'qpi_kernels' has no attribute {name!r}")
    home = import_module(_HOMES[name])
    value = home if home.__name__ == f"qpi_kernels.{name}" else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
