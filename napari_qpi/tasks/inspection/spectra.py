"""`Spectrum`: values over bias at a pixel of a map or a kernel under inspection."""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr

__all__ = ["Spectrum", "spectra_table", "spectrum_at"]

Pixel = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Values over bias at one pixel.

    Parameters
    ----------
    role : str
        Of which array.
    name : str
        What the array shows.
    pixel : tuple of int
        (row, col).
    values : xarray.DataArray
        Over ``bias``, with the coordinates ``y`` and ``x`` of the pixel.
    std : xarray.DataArray or None
        Standard deviation.
    """

    role: str
    name: str
    pixel: Pixel
    values: xr.DataArray
    std: xr.DataArray | None = None

    @property
    def place(self) -> str:
        """Where the pixel is."""
        unit = str(self.values["x"].attrs.get("units", ""))
        y, x = (float(self.values[axis]) for axis in ("y", "x"))
        return f"({y:.4g}, {x:.4g}) {unit}"

    @property
    def label(self) -> str:
        """Array and place, for a legend."""
        return f"{self.role} at {self.place}"


def spectrum_at(
    role: str, name: str, stack: xr.DataArray, pixel: Pixel, std: xr.DataArray | None = None
) -> Spectrum:
    """Take the spectrum at a pixel (row, col) of a stack ``(bias, y, x)``; reads it if lazy."""
    row, column = pixel
    errors = None if std is None else std.isel(y=row, x=column).compute()
    return Spectrum(role, name, pixel, stack.isel(y=row, x=column).compute(), errors)


def spectra_table(spectra: list[Spectrum]) -> list[xr.DataArray]:
    """Name spectra by array and place, for files."""
    return [
        spectrum.values.rename(f"spectrum of {spectrum.label}").assign_attrs(
            spectrum.values.attrs, layer=spectrum.name, row=spectrum.pixel[0], col=spectrum.pixel[1]
        )
        for spectrum in spectra
    ]
