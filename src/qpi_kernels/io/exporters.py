"""Writing plain arrays for other programs: ImageJ TIFF, Gwyddion, NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qpi_kernels.io.array_geometry import pitch_of
from qpi_kernels.io.array_notes import frame_centre_nm, notes_of
from qpi_kernels.io.atomic_write import replacing

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ExportError", "export_array"]


class ExportError(ValueError):
    """An array cannot be written so; the message says what can."""


def export_array(array: xr.DataArray, path: str | Path) -> Path:
    """Write an image or a stack in the format of the path's extension, and return the path.

    Parameters
    ----------
    array : xarray.DataArray
        Dims ``(y, x)`` or ``(bias, y, x)`` (or another first dimension), row 0 at the top;
        coordinates ``y`` and ``x`` in nm give the pixel size, attributes go along as notes, see
        `qpi_kernels.io.array_notes`.
    path : path-like
        ``.tif``/``.tiff``: ImageJ stack of float32 with pixel size and a label per bias.
        ``.gwy``: Gwyddion, SI units, one channel per bias; NaN are masked. ``.npz``: arrays
        ``data``, ``pixel_nm`` (y, x), ``bias``, ``units``, ``notes``. An existing file is
        replaced.

    Raises
    ------
    ExportError
        For any other extension, or an array that is no image and no stack.
    """
    path = Path(path)
    writers: dict[str, Callable[[xr.DataArray, Path], None]] = {
        ".tif": _write_tiff,
        ".tiff": _write_tiff,
        ".gwy": _write_gwy,
        ".npz": _write_npz,
    }
    writer = writers.get(path.suffix.lower())
    if writer is None:
        known = ", ".join(sorted(writers))
        raise ExportError(
            f"{path.name}: cannot write {path.suffix or 'no extension'!r}; use {known}"
        )
    if array.ndim not in (2, 3) or array.dims[-2:] != ("y", "x") or array.size == 0:
        raise ExportError(
            f"{path.name}: only images (y, x) and stacks (bias, y, x) can be written so, "
            f"not {dict(array.sizes)}; choose one plane, or save everything as .nc"
        )
    with replacing(path) as partial:
        writer(array, partial)
    return path


def _name(array: xr.DataArray) -> str:
    return str(array.attrs.get("long_name") or array.name or "data")


def _units(array: xr.DataArray) -> str:
    return str(array.attrs.get("units", ""))


def _bias(array: xr.DataArray) -> np.ndarray | None:
    """Return the bias of the planes in V, or of a single image."""
    if "bias" not in array.coords or (array.ndim == 3 and array.dims[0] != "bias"):
        return None
    return np.atleast_1d(np.asarray(array.coords["bias"].values, float))


def _plane_labels(array: xr.DataArray) -> list[str]:
    """Name every plane by its bias, exactly; by its number when there is none."""
    bias = _bias(array)
    if bias is not None:
        return [f"{float(value)!r} V" for value in bias]
    return [str(index) for index in range(array.shape[0] if array.ndim == 3 else 1)]


def _write_npz(array: xr.DataArray, path: Path) -> None:
    """Write ``data``, ``units``, ``notes`` and, where known, ``pixel_nm`` and ``bias``."""
    contents = {"data": array.values, "units": np.array(_units(array))}
    contents["notes"] = np.array(notes_of(array, named=True))
    pitch, bias = pitch_of(array), _bias(array)
    if pitch is not None:
        contents["pixel_nm"] = np.array(pitch)
    if bias is not None:
        contents["bias"] = bias if array.ndim == 3 else bias.reshape(())
    with path.open("wb") as file:
        np.savez(file, **contents)  # type: ignore[arg-type]


def _write_tiff(array: xr.DataArray, path: Path) -> None:
    """Write an ImageJ stack with pixel size, labels and notes."""
    # tifffile takes a fifth of a second to import.
    import tifffile

    pitch, bias = pitch_of(array), _bias(array)
    metadata: dict[str, object] = {
        "axes": "ZYX"[3 - array.ndim :],
        "unit": "nm" if pitch else "pixel",
        "Info": f"channel={_name(array)}\nunits={_units(array)}\nnotes={notes_of(array)}\n",
    }
    if array.ndim == 3:
        metadata["Labels"] = _plane_labels(array)
    elif bias is not None:
        # ImageJ keeps no label for a single slice.
        metadata["Info"] = f"{metadata['Info']}bias={_plane_labels(array)[0]}\n"
    if bias is not None and bias.size > 1:
        metadata["spacing"] = abs(float(bias[-1] - bias[0])) / (bias.size - 1)
        metadata["zunit"] = "V"
    pitch_y, pitch_x = pitch or (1.0, 1.0)
    tifffile.imwrite(
        path,
        np.ascontiguousarray(array.values, dtype=np.float32),
        imagej=True,
        resolution=(1 / pitch_x, 1 / pitch_y),
        metadata=metadata,
    )


_GWYDDION_UNITS = {"nm": ("m", 1e-9), "nm^-1": ("m^-1", 1e9)}


def _write_gwy(array: xr.DataArray, path: Path) -> None:
    """Write a Gwyddion container with one channel per plane."""
    from gwyfile.objects import GwyContainer

    container = GwyContainer()
    planes = array.values.reshape(-1, *array.shape[-2:])
    has_planes = array.ndim == 3 or "bias" in array.coords
    for index, (plane, label) in enumerate(zip(planes, _plane_labels(array), strict=True)):
        title = f"{_name(array)} {label}" if has_planes else _name(array)
        for key, value, code in _gwy_channel(plane, array, title):
            container[f"/{index}/{key}"] = value
            # gwyfile would take a text of one letter for a character.
            container.typecodes[f"/{index}/{key}"] = code
    with path.open("wb") as file:
        container.tofile(file)


def _gwy_channel(
    plane: np.ndarray, array: xr.DataArray, title: str
) -> Iterator[tuple[str, object, str]]:
    """Yield key, value and type code of everything that makes one channel."""
    from gwyfile.objects import GwyContainer, GwyDataField, GwySIUnit

    pitch = pitch_of(array)
    pitch_y, pitch_x = (1e-9 * pitch[0], 1e-9 * pitch[1]) if pitch else (1.0, 1.0)
    centre = array.attrs.get("offset_nm") or frame_centre_nm(array)
    centre_x, centre_y = centre or (0.0, 0.0)
    unit, factor = _GWYDDION_UNITS.get(_units(array), (_units(array), 1.0))
    frame = {
        "xreal": plane.shape[1] * pitch_x,
        "yreal": plane.shape[0] * pitch_y,
        "xoff": 1e-9 * centre_x - plane.shape[1] * pitch_x / 2 if pitch and centre else 0.0,
        "yoff": -1e-9 * centre_y - plane.shape[0] * pitch_y / 2 if pitch and centre else 0.0,
        "si_unit_xy": GwySIUnit(unitstr="m" if pitch else ""),
    }
    values = plane.astype(float) * factor
    missing = ~np.isfinite(values)
    if missing.any():
        values[missing] = values[~missing].mean() if not missing.all() else 0.0
        mask = GwyDataField(missing.astype(float), si_unit_z=GwySIUnit(unitstr=""), **frame)
        yield "mask", mask, "o"
    yield "data", GwyDataField(values, si_unit_z=GwySIUnit(unitstr=unit), **frame), "o"
    yield "data/title", title, "s"
    yield "data/visible", True, "b"
    yield "meta", GwyContainer({"notes": notes_of(array)}), "o"
