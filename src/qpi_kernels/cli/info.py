"""``napari-qpi info``: what is in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from qpi_kernels.cli import batch
from qpi_kernels.cli.batch import FileResult, FileTask
from qpi_kernels.cli.common_options import Debug, Files, Recursive
from qpi_kernels.cli.scan_files import CommandError, expand, is_result

if TYPE_CHECKING:
    import xarray as xr

    from qpi_kernels.result import KernelResult

__all__ = ["info"]


def info(files: Files, recursive: Recursive = False, debug: Debug = False) -> None:
    """Show format, size, bias, set-point and channels of scans, or the quality of kernels."""
    try:
        paths = expand(files, recursive)
    except CommandError as error:
        raise batch.stop_with(str(error)) from error
    batch.exit_if_failed(batch.run_batch(paths, _describe, debug=debug))


def _describe(job: FileTask) -> FileResult:
    """Print the facts about a scan or a saved kernel."""
    from qpi_kernels.io import open_scan

    if is_result(job.path):
        from qpi_kernels.result import KernelResult

        result = KernelResult.load(job.path)
        _print_result(job.path, result)
        return FileResult(job.path, f"kernel, {_sizes(result.kernel)}")
    scan = open_scan(job.path)
    _print_scan(job.path, scan)
    return FileResult(job.path, f"{scan.attrs['format']}: {', '.join(map(str, scan.data_vars))}")


def _sizes(array: xr.DataArray) -> str:
    """List the dimensions of an array."""
    return ", ".join(f"{dim} {size}" for dim, size in array.sizes.items())


def _print_scan(path: Path, scan: xr.Dataset) -> None:
    """Print channels, sizes and settings of a scan."""
    facts: dict[str, Any] = {"format": scan.attrs["format"]}
    if {"y", "x"} <= set(scan.sizes):
        facts["size"] = _frame(scan)
    if "bias" in scan.coords:
        facts["bias"] = _bias(scan["bias"])
    facts["set-point"] = scan.attrs.get("setpoint") or "unknown"
    facts["scan angle"] = f"{scan.attrs.get('scan_angle_deg', 0.0):g} deg"
    facts["complete"] = "yes" if scan.attrs.get("complete", True) else "no, NaN where unmeasured"
    table = Table("channel", "instrument's name", "units", "dimensions", "note")
    for name, channel in scan.items():
        attributes = channel.attrs
        cells = [
            str(name),
            str(attributes.get("long_name", "")),
            str(attributes.get("units", "")),
            _sizes(channel),
            str(attributes.get("derived", "")),
        ]
        table.add_row(*(escape(cell) for cell in cells))
    _print_facts(path, facts, table)


def _frame(scan: xr.Dataset) -> str:
    """Describe the size of a frame in pixels and nm."""
    rows, columns = scan.sizes["y"], scan.sizes["x"]
    size = f"{rows} rows x {columns} columns"
    if scan["y"].attrs.get("units") != "nm" or min(rows, columns) < 2:
        return f"{size}, pixel size unknown"
    pitch = [float(scan[axis].values[1] - scan[axis].values[0]) for axis in ("y", "x")]
    return (
        f"{size}, {rows * pitch[0]:.4g} x {columns * pitch[1]:.4g} nm, pixel {pitch[0]:.4g} x "
        f"{pitch[1]:.4g} nm (height x width)"
    )


def _bias(bias: xr.DataArray) -> str:
    """Describe a bias, or the range of several."""
    if bias.ndim == 0:
        return f"{float(bias):g} V"
    return f"{bias.size} from {float(bias[0]):g} to {float(bias[-1]):g} V"


def _print_result(path: Path, result: KernelResult) -> None:
    """Print kernel, defects, method and verdict of a saved kernel."""
    facts = {
        "format": "kernel of napari-qpi",
        "kernel": _sizes(result.kernel),
        "defects": ", ".join(f"{n} {kind}" for kind, n in result.defects.counts().items()),
        "method": str(result.provenance.get("parameters", {}).get("method", "unknown")),
        "verdict": " ".join(result.quality.verdict),
    }
    _print_facts(path, facts, None)


def _print_facts(path: Path, facts: dict[str, Any], table: Table | None) -> None:
    """Print facts about a file, then its table."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{escape(str(path))}[/bold]")
    for name, value in facts.items():
        console.print(f"  {name}: {escape(str(value))}")
    if table is not None:
        batch.table_console().print(table)
