"""`Spectrum`: values over bias at a pixel of a map or a kernel under inspection."""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr

from qpi_kernels.inspect.figures.kind import FigurePanel
from qpi_kernels.inspect.figures.kinds.curves.curves import curves_panel

__all__ = ["Spectrum", "spectra_figures", "spectra_table", "spectrum_at"]

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
        """Place of the pixel."""
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


def spectra_figures(spectra: list[Spectrum]) -> list[FigurePanel]:
    """Make a panel of the spectra of each array, with their errors."""
    panels = []
    for name in dict.fromkeys(spectrum.name for spectrum in spectra):
        of_array = [spectrum for spectrum in spectra if spectrum.name == name]
        quantity = str(of_array[0].values.attrs.get("long_name", "value"))
        curves = xr.Dataset(attrs={"quantity": quantity})
        for number, spectrum in enumerate(of_array, 1):
            unit = {"units": spectrum.values.attrs.get("units", "")}
            named = (
                (f"spectrum_{number}", "", spectrum.values),
                (f"spectrum_{number}_std", "standard deviation, ", spectrum.std),
            )
            for variable, words, values in named:
                if values is not None:
                    curve = values.reset_coords(drop=True)
                    curve.attrs = {**unit, "long_name": f"{words}{spectrum.label}"}
                    curves[variable] = curve
        places = "; ".join(spectrum.label for spectrum in of_array)
        panels.append(curves_panel(curves, f"Spectrum: {name}", f"Spectra of {name}: {places}."))
    return panels
