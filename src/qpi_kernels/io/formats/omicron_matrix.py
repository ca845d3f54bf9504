"""Omicron Matrix images (``.Z_mtrx``, ``.I_mtrx``, ...), read with access2theMatrix.

Every channel is a file of its own; the scan parameters are in ``<name>_0001.mtrx`` beside it.
access2theMatrix mirrors backward rows and turns scans made downwards, so that row 0 is the bottom;
here it becomes the top. Spectroscopy curves and grids (``I(V)``) are not read: no real file was at
hand. The sense of the angle (anticlockwise) is read in access2theMatrix, not verified.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from qpi_kernels.io.physical_units import credible_pitch, in_project_units, quantity_of
from qpi_kernels.io.registry import ScanFormat
from qpi_kernels.io.scan import Channel, Direction, ScanFormatError, scan_dataset

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FORMAT", "read"]

_NAME = "Omicron Matrix"
_SCANNER = "EEPA::XYScanner."
_ALWAYS_ALLOWED_BYTES = 64 * 2**20


def read(path: str | Path) -> xr.Dataset:
    """Read one channel of an Omicron Matrix scan.

    Parameters
    ----------
    path : path-like
        The data file, under its original name and beside its ``*_0001.mtrx``.

    Returns
    -------
    xarray.Dataset
        One ``(y, x)`` variable per trace. Of a scan made up and down the second sweep, ``down``,
        has that word in its label. ``complete`` is False when lines are missing (NaN).

    Raises
    ------
    ScanFormatError
        For the parameter file itself, a data file without its parameter file or renamed, curves
        and damaged files.
    """
    # The reading library is imported when a file of the format comes, not for sniffing.
    from access2thematrix import MtrxData

    path = Path(path)
    _refuse_unreadable(path)
    matrix = MtrxData()
    traces, message = matrix.open(str(path.absolute()))
    if matrix.raw_param and matrix.param.get("BREF") != path.name:
        reason = "its parameter file does not mention it; a renamed or foreign file cannot be read"
        raise ScanFormatError(path, _NAME, reason)
    if not traces:
        raise ScanFormatError(path, _NAME, message)
    rows = _declared_rows(path, matrix)
    channels = [_channel(matrix, str(trace), rows) for trace in traces.values()]
    columns = channels[0].data.shape[1]
    length_x, length_y, centre_x, centre_y = (
        _parameter(matrix, _SCANNER + name) * 1e9
        for name in ("Width", "Height", "X_Offset", "Y_Offset")
    )
    return scan_dataset(
        channels,
        source=path,
        format=_NAME,
        pixel_nm=credible_pitch(abs(length_y) / rows, abs(length_x) / columns),
        bias=_parameter(matrix, "EEPA::GapVoltageControl.Voltage", default=None),
        offset_nm=(centre_x, centre_y),
        scan_angle_deg=0.0 - _parameter(matrix, f"{_SCANNER}Angle"),
        setpoint=_setpoint(matrix),
        complete=not any(np.isnan(channel.data).any() for channel in channels),
        header=_header(matrix),
    )


def _refuse_unreadable(path: Path) -> None:
    """Refuse parameter files, curves, renamed files and those without parameters."""
    with path.open("rb") as file:
        block = file.read(16)[12:]
    if block == b"ATEM" or path.suffix == ".mtrx":
        stem = path.stem.rpartition("_")[0]
        names = sorted(p.name for p in path.parent.iterdir() if p.name.startswith(f"{stem}--"))
        beside = f" beside it: {', '.join(names[:5])}" if names else ", such as ....Z_mtrx"
        raise ScanFormatError(path, _NAME, f"this is the parameter file; open a data file{beside}")
    stem, dashes, ending = path.name.rpartition("--")
    if not dashes or "_" not in ending or "." not in ending:
        reason = "the file needs its original name, such as name--4_1.Z_mtrx"
        raise ScanFormatError(path, _NAME, reason)
    if "(" in ending:
        reason = f"{ending} holds spectroscopy curves; only images are read"
        raise ScanFormatError(path, _NAME, reason)
    parameters = path.with_name(f"{stem}_0001.mtrx")
    if not parameters.exists():
        reason = f"its parameter file {parameters.name} is missing; copy it into the same folder"
        raise ScanFormatError(path, _NAME, reason)


@overload
def _parameter(matrix: Any, key: str) -> float: ...
@overload
def _parameter(matrix: Any, key: str, default: None) -> float | None: ...
def _parameter(matrix: Any, key: str, default: float | None = 0.0) -> float | None:
    value = matrix.param.get(key, [default])[0]
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else default


def _declared_rows(path: Path, matrix: Any) -> int:
    """Lines the scan was meant to have; the library returns those it finds."""
    rows = int(_parameter(matrix, f"{_SCANNER}Lines"))
    columns = matrix.scan.shape[-1]
    if not 0 < rows * columns * 4 <= max(_ALWAYS_ALLOWED_BYTES, 64 * len(matrix.raw_data)):
        reason = f"its parameters declare {rows} lines of {columns} points"
        raise ScanFormatError(path, _NAME, f"{reason}, which cannot be")
    return rows


def _channel(matrix: Any, trace: str, rows: int) -> Channel:
    """Read one trace, row 0 at the top, NaN for missing lines."""
    image, _ = matrix.select_image(trace)
    label, unit = image.channel_name_and_unit
    factor, unit = in_project_units(unit)
    sense, _, slow = trace.partition("/")
    direction: Direction = "backward" if sense == "backward" else "forward"
    with np.errstate(over="ignore", invalid="ignore"):  # only damaged files overflow
        measured = (image.data[::-1] * factor).astype(np.float32)
    if measured.shape[0] < rows:
        missing = np.full((rows - measured.shape[0], measured.shape[1]), np.nan, np.float32)
        # An upward sweep starts at the bottom, a downward one at the top.
        measured = np.concatenate([missing, measured] if slow == "up" else [measured, missing])
    name = f"{label} down" if slow == "down" else label
    return Channel(name, measured, unit, quantity_of(label, unit), direction)


def _setpoint(matrix: Any) -> str:
    ampere = _parameter(matrix, "EEPA::Regulator.Setpoint_1")
    enabled = matrix.param.get("EEPA::Regulator.Feedback_Loop_Enabled", [None])[0]
    feedback = {True: ", feedback on", False: ", feedback off"}.get(enabled, "")
    return f"{ampere * 1e12:.4g} pA{feedback}" if ampere else ""


def _header(matrix: Any) -> dict[str, str]:
    """Collect the scan parameters and notes as text."""
    entries = {
        key.removeprefix("EEPA::"): " ".join(str(part) for part in value if part != "--")
        for key, value in matrix.param.items()
        if key.startswith("EEPA::")
    }
    about = {
        "sample": matrix.sample_name,
        "data set": matrix.data_set_name,
        "comment": matrix.creation_comment,
        "time": matrix.param.get("BKLT", ""),
    }
    return {key: str(value) for key, value in about.items() if value} | entries


# The parameter file ends in ".mtrx" and the channels in ".Z_mtrx", ".I_mtrx", ...
FORMAT = ScanFormat(_NAME, ("_mtrx",), lambda head: head.startswith(b"ONTMATRX0101"), read)
