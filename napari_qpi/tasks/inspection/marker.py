"""`MarkerReading`: the wave vector at a marker in a Fourier transform, in the field's words."""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, degrees, hypot, inf, pi

import xarray as xr

__all__ = ["MarkerReading"]


@dataclass(frozen=True)
class MarkerReading:
    """A scattering vector and what it stands for.

    Parameters
    ----------
    q_y, q_x : float
        In rad per unit of length, q_y downwards.
    value : float
        Of the transform's nearest pixel.
    length_unit, value_unit : str
        Their units.
    """

    q_y: float
    q_x: float
    value: float
    length_unit: str = "nm"
    value_unit: str = ""

    @classmethod
    def of(cls, transform: xr.DataArray, place: tuple[float, float]) -> MarkerReading:
        """Read a transform at ``(q_y, q_x)``."""
        pixel = transform.sel(q_y=place[0], q_x=place[1], method="nearest")
        unit = str(transform["q_x"].attrs.get("units", "rad/nm")).removeprefix("rad/")
        return cls(*place, float(pixel), unit, str(transform.attrs.get("units", "")))

    @property
    def q(self) -> float:
        """Length of the scattering vector."""
        return hypot(self.q_y, self.q_x)

    @property
    def angle_deg(self) -> float:
        """Direction, anticlockwise as seen from the image's x axis."""
        return degrees(atan2(0.0 - self.q_y, self.q_x))

    @property
    def wavelength(self) -> float:
        """Wavelength of the interference pattern, ``2 pi / q``."""
        return 2 * pi / self.q if self.q else inf

    @property
    def k(self) -> float:
        """Wave number of the electrons that scatter back by q, ``q / 2``."""
        return self.q / 2

    def in_words(self, factor: float, unit: str) -> str:
        """Write the reading, q in a unit of which one rad per length is `factor`."""
        if not self.q:
            return "Click the transform to read q, λ and k."
        readable = unit.replace(f"/{self.length_unit}", f" {self.length_unit}⁻¹").lstrip("1 ")
        return (
            f"q = {self.q * factor:.4g} {readable} at {self.angle_deg:+.1f}°, "
            f"λ = {self.wavelength:.4g} {self.length_unit}, "
            f"k = q/2 = {self.k:.4g} rad {self.length_unit}⁻¹; "
            f"|F| = {self.value:.3g} {self.value_unit}".rstrip()
        )
