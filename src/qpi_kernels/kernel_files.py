"""Names and files of extracted kernels; an undetermined kernel is named as such everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qpi_kernels.quality import Trust

if TYPE_CHECKING:
    from qpi_kernels.result import KernelResult

__all__ = ["UNDETERMINED", "kernel_name", "kernel_notes", "kernel_paths", "save_kernel"]

UNDETERMINED: Trust = "undetermined"


def kernel_name(
    result: KernelResult, kind: str | None = None, role: str = "kernel", suffix: str = ""
) -> str:
    """Name the kernel of a result for layers, captions and channels.

    Parameters
    ----------
    result : KernelResult
        The extraction.
    kind : str, optional
        Kind of defect, where there are several.
    role : str
        ``"kernel"`` or ``"std"``.
    suffix : str
        More about it, such as ``" of map"``. Long names are cut in the middle, so that the role at
        the beginning and "(undetermined)" at the end stay.

    Returns
    -------
    str
        Such as ``"kernel vacancy (undetermined)"``.
    """
    name = (role if kind is None else f"{role} {kind}") + suffix
    return f"{name} ({UNDETERMINED})" if result.quality.undetermined(kind) else name


def kernel_notes(
    result: KernelResult, kind: str | None = None, role: str = "kernel"
) -> dict[str, str]:
    """Describe the kernel of a result, or another part of it, for files that hold nothing else.

    Parameters
    ----------
    result, kind
        As for `kernel_name`.
    role : str
        Name of the part: ``"kernel"``, ``"std"``, ``"residual"`` or ``"reconstruction"``.

    Returns
    -------
    dict
        Attributes ``role``, ``long_name`` and, where they apply, ``kind`` and ``trust``.
    """
    notes = {"role": role, "long_name": kernel_name(result, kind, role)}
    if kind is None and "kind" in result.kernel.coords and result.kernel["kind"].ndim == 0:
        kind = str(result.kernel["kind"].values)
    if kind is not None:
        notes["kind"] = kind
    return notes | ({"trust": UNDETERMINED} if result.quality.undetermined(kind) else {})


def kernel_paths(result: KernelResult, path: str | Path) -> list[Path]:
    """List the files that `save_kernel` writes: one per kind unless the path ends in ``.nc``.

    A ``.nc`` file holds the quality and keeps its name; other formats do not, so the name of an
    undetermined kernel ends in ``_undetermined``.
    """
    path = Path(path)
    if path.suffix.lower() == ".nc":
        return [path]
    paths = []
    for kind in _kinds(result):
        parts = [path.stem, *([] if kind is None else [kind])]
        parts += [UNDETERMINED] * result.quality.undetermined(kind)
        paths.append(path.with_stem("_".join(parts)))
    return paths


def save_kernel(
    result: KernelResult, path: str | Path, attributes: Mapping[str, Any] | None = None
) -> list[Path]:
    """Write a result in the format of a path's extension.

    Parameters
    ----------
    result : KernelResult
        The extraction.
    path : path-like
        ``.nc`` keeps everything; ``.gwy``, ``.tif`` and ``.npz`` hold the kernel, one file per
        kind. Existing files are replaced.
    attributes : mapping, optional
        More to note beside the kernel, such as ``scan_angle_deg``.

    Returns
    -------
    list of Path
        The files written, those of `kernel_paths`.

    Raises
    ------
    ExportError
        For any other extension.
    """
    from qpi_kernels.io.exporters import export_array

    if Path(path).suffix.lower() == ".nc":
        return [result.save(path)]
    written = []
    for kind, target in zip(_kinds(result), kernel_paths(result, path), strict=True):
        kernel = result.kernel if kind is None else result.kernel.sel(kind=kind)
        notes = {**kernel_notes(result, kind), **(attributes or {})}
        written.append(export_array(kernel.assign_attrs(notes), target))
    return written


def _kinds(result: KernelResult) -> list[str | None]:
    """List the kinds with a kernel of their own; None stands for the only one."""
    kernel = result.kernel
    return kernel["kind"].values.tolist() if "kind" in kernel.dims else [None]
