"""The npe2 reader: microscope files and our own NetCDF files as layers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_qpi.layers.conversion import LayerData

__all__ = ["IncompleteScanWarning", "get_reader", "read_layers"]

PathOrPaths = str | Sequence[str]


class IncompleteScanWarning(UserWarning):
    """A scan was aborted; what it did not reach is NaN."""


def get_reader(path: PathOrPaths) -> Callable[[PathOrPaths], list[LayerData]] | None:
    """Offer to read a path.

    Parameters
    ----------
    path : str or list of str
        File or files that match a pattern of the manifest.

    Returns
    -------
    callable or None
        `read_layers`; None when a file is no microscope file and no file of ours, so that napari
        asks another plugin. A damaged file with an extension that only microscopes use is taken,
        so that reading it says what is wrong.
    """
    paths = _paths(path)
    return read_layers if paths and all(_is_ours(Path(one)) for one in paths) else None


def read_layers(path: PathOrPaths) -> list[LayerData]:
    """Read files as layers, see `scan_layers` and `result_layers`.

    Raises
    ------
    ScanFormatError
        If a file is damaged or foreign; napari shows the reason in its notification.
    ResultFormatError
        If a saved kernel is damaged.
    """
    return [layer for one in _paths(path) for layer in _read_file(Path(one))]


def _defect_table_layer(path: Path) -> LayerData:
    """Read a table of defects as points that lie where those it was saved from lay."""
    from napari_qpi.layers.conversion import points_from_defects
    from napari_qpi.layers.geometry import frame_geometry
    from qpi_kernels.defects import Defects
    from qpi_kernels.defects.table import read_frame

    frame = read_frame(path)
    if frame is not None and "scale" not in frame:  # of the commands, which know no layers
        frame = frame_geometry(**frame)
    return points_from_defects(Defects.from_csv(path), frame, name=path.stem)


def _paths(path: PathOrPaths) -> list[str]:
    return [str(path)] if isinstance(path, str | Path) else [str(one) for one in path]


def _is_ours(path: Path) -> bool:
    """Decide whether to offer a file: by an extension that only microscopes use, or by content."""
    if path.is_dir():
        return False
    if path.suffix.lower() == ".csv":
        return _is_defect_table(path)
    from qpi_kernels.io.open_scan import sniff
    from qpi_kernels.io.registry import known_formats
    from qpi_kernels.io.scan import ScanFormatError

    name = path.name.lower()
    own = [known for known in known_formats().values() if not known.shared]
    if any(name.endswith(known.extensions) for known in own):
        return True
    try:
        found = sniff(path)
    except ScanFormatError:
        return False
    return found.written_here is None or found.written_here(path)


def _is_defect_table(path: Path) -> bool:
    """Recognise a table of `Defects.to_csv` by its first line."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            return file.readline().startswith("index,axis-0,axis-1,kind,strength")
    except (OSError, UnicodeDecodeError):
        return False


def _read_file(path: Path) -> list[LayerData]:
    """Read one file as layers."""
    if path.suffix.lower() == ".csv":
        return [_defect_table_layer(path)]
    from napari_qpi.layers.result import result_layers
    from napari_qpi.layers.scan import scan_layers
    from qpi_kernels.io import open_scan
    from qpi_kernels.io.stored import holds_type
    from qpi_kernels.prepare import is_prepared_file
    from qpi_kernels.result import KernelResult

    if holds_type(path, "KernelResult"):
        return result_layers(KernelResult.load(path))
    if is_prepared_file(path):
        from napari_qpi.layers.prepared_file import prepared_file_layers

        return prepared_file_layers(path)
    dataset = open_scan(path)
    if not dataset.attrs.get("complete", True):
        warnings.warn(
            f"{path.name}: the scan was not finished; what is missing is NaN",
            IncompleteScanWarning,
            stacklevel=2,
        )
    return scan_layers(dataset, path.stem)
