"""The scan data set that every reader returns, and the error for unreadable files."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Channel", "ScanFormatError", "scan_dataset"]

Quantity = Literal["topography", "current", "didv", "bias", "other"]
Direction = Literal["forward", "backward", "none"]

_SPEEDS = ("forward", "backward")
_COORDINATES = {"bias", "y", "x", "sweep", "plane", "spectrum", "spectrum_x", "spectrum_y"}


class ScanFormatError(ValueError):
    """A file is not a scan we can read, or is damaged.

    Parameters
    ----------
    path : path-like
        The file.
    format : str
        The format that was tried, for example ``"Nanonis .3ds"``.
    reason : str
        What is wrong and, where it helps, what to do; one line.
    """

    def __init__(self, path: str | Path, format: str, reason: str) -> None:
        self.path = Path(path)
        self.format = format
        self.reason = " ".join(str(reason).split())
        super().__init__(f"{self.path.name}: not readable as {format}: {self.reason}")

    def __reduce__(self) -> tuple[type[ScanFormatError], tuple[Path, str, str]]:
        return type(self), (self.path, self.format, self.reason)


@dataclass(frozen=True)
class Channel:
    """One recorded quantity in one scan direction.

    Parameters
    ----------
    label : str
        The instrument's own name, for example ``"LI Demod 1 X"``.
    data : array
        ``(y, x)``, ``(bias, y, x)`` or ``(spectrum, bias)``; row 0 at the top, NaN where nothing
        was measured. numpy or dask.
    units : str
        ``"nm"``, ``"V"``, ``"A"``, ``"S"`` (A/V), ``"Hz"``, ... or ``""`` when unknown.
    quantity : str
        What it is to this project.
    direction : str
        The direction of the fast scan axis, or for spectra of the bias sweep.
    derived : str
        How the channel was computed when the instrument did not record it, else ``""``.
    """

    label: str
    data: Any
    units: str
    quantity: Quantity = "other"
    direction: Direction = "none"
    derived: str = ""

    @property
    def name(self) -> str:
        """The variable's name in the data set, such as ``topography_forward``."""
        stem = self.quantity if self.quantity in ("topography", "current", "didv") else self.label
        slug = re.sub(r"[^0-9a-z]+", "_", stem.lower()).strip("_") or "channel"
        name = slug if self.direction == "none" else f"{slug}_{self.direction}"
        # A recorded "X (m)" or "Bias (V)" must not replace the coordinate of that name.
        return f"{name}_channel" if name in _COORDINATES else name


@dataclass
class _Names:
    taken: set[str] = field(default_factory=set)

    def unique(self, name: str, label: str) -> str:
        """Return the name, made unique by the label or a number."""
        candidate, number = name, 2
        if candidate in self.taken:
            slug = re.sub(r"[^0-9a-z]+", "_", label.lower()).strip("_")
            candidate = f"{name}_{slug}" if slug else name
        while candidate in self.taken:
            candidate, number = f"{name}_{number}", number + 1
        self.taken.add(candidate)
        return candidate


def scan_dataset(
    channels: list[Channel],
    *,
    source: str | Path,
    format: str,
    pixel_nm: tuple[float, float] | None,
    bias: np.ndarray | float | None = None,
    offset_nm: tuple[float, float] = (0.0, 0.0),
    scan_angle_deg: float = 0.0,
    setpoint: str = "",
    complete: bool = True,
    header: Mapping[str, Any] | None = None,
    spectrum_positions_nm: np.ndarray | None = None,
    scan_speed_nm_s: tuple[float, float] | None = None,
) -> xr.Dataset:
    """Assemble what `open_scan` returns.

    Parameters
    ----------
    channels : list of Channel
        All of one file's channels; image sizes agree. Numeric data become native-endian float32
        (dask arrays stay lazy).
    source : path-like
        The file that was read.
    format : str
        Format name for display, for example ``"Nanonis .sxm"``.
    pixel_nm : tuple of float or None
        Pixel pitch ``(y, x)`` in nm, positive; None when the file does not tell, then coordinates
        count pixels.
    bias : array of float or float, optional
        Bias in V: one per plane of ``(bias, y, x)`` data in recorded order, or the single bias of
        an image.
    offset_nm : tuple of float
        Centre of the frame ``(x, y)`` in the instrument's coordinates, y upwards.
    scan_angle_deg : float
        Rotation of the frame, positive clockwise as seen on the instrument's screen.
    setpoint : str
        Feedback set-point in words, for example ``"30 pA, feedback on"``; ``""`` when unknown.
    complete : bool
        False when the scan was aborted and NaN stand for what is missing.
    header : mapping, optional
        The vendor's header; values are kept as text.
    spectrum_positions_nm : array, optional
        ``(spectrum, 2)``, the ``(x, y)`` of point spectra in instrument coordinates.
    scan_speed_nm_s : tuple of float, optional
        Speed of the tip along the rows, forward and backward, positive.

    Returns
    -------
    xarray.Dataset
        One variable per channel with attributes ``long_name``, ``units``, ``quantity``,
        ``direction`` and ``derived``, and ``scan_speed_nm_s`` where it is known; coordinates ``y``
        and ``x`` in nm from the first pixel's centre, growing with row and column, and ``bias``
        in V.
    """
    import xarray as xr

    names = _Names()
    variables: dict[str, xr.DataArray] = {}
    coords: dict[str, Any] = {}
    for channel in channels:
        data = channel.data
        if not (data.dtype == np.float32 and data.dtype.isnative):
            data = data.astype(np.float32)
        if data.ndim == 2 and spectrum_positions_nm is not None:
            dims: tuple[str, ...] = ("spectrum", "bias")
        else:
            dims = ("bias", "y", "x")[3 - data.ndim :]
        name = names.unique(channel.name, channel.label)
        variables[name] = xr.DataArray(
            data,
            dims=dims,
            attrs={
                "long_name": channel.label,
                "units": channel.units,
                "quantity": channel.quantity,
                "direction": channel.direction,
                "derived": channel.derived,
            },
        )
        if scan_speed_nm_s is not None and channel.direction in _SPEEDS:
            speed = float(scan_speed_nm_s[_SPEEDS.index(channel.direction)])
            if math.isfinite(speed) and speed > 0:
                variables[name].attrs["scan_speed_nm_s"] = speed
    dataset = xr.Dataset(variables)
    pitch, length_units = (pixel_nm, "nm") if pixel_nm is not None else ((1.0, 1.0), "pixel")
    for axis, step in zip(("y", "x"), pitch, strict=True):
        if axis in dataset.dims:
            coords[axis] = (axis, np.arange(dataset.sizes[axis]) * step, {"units": length_units})
    if "bias" in dataset.dims and bias is not None:
        coords["bias"] = ("bias", np.atleast_1d(np.asarray(bias, float)), {"units": "V"})
    elif bias is not None:
        coords["bias"] = ((), float(np.asarray(bias)), {"units": "V"})
    if spectrum_positions_nm is not None:
        for column, axis in enumerate(("x", "y")):
            coords[f"spectrum_{axis}"] = (
                "spectrum",
                np.asarray(spectrum_positions_nm, float)[:, column],
                {"units": "nm"},
            )
    return dataset.assign_coords(coords).assign_attrs(
        source=str(source),
        format=format,
        scan_angle_deg=float(scan_angle_deg),
        offset_nm=(float(offset_nm[0]), float(offset_nm[1])),
        setpoint=setpoint,
        complete=bool(complete),
        header={str(key): str(value) for key, value in (header or {}).items()},
    )
