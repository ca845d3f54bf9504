"""`RemovePickup`: mains and other tones fitted and subtracted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from qpi_kernels.prepare.geometry.frame import pitch
from qpi_kernels.prepare.geometry.resampling import map_planes
from qpi_kernels.prepare.lattice.plane_waves import without_waves
from qpi_kernels.prepare.pickup.rows import row_tones_of, without_row_tones
from qpi_kernels.prepare.pickup.tones import frequencies_hz, lattice_waves, tones_of
from qpi_kernels.prepare.prepared import Prepared
from qpi_kernels.prepare.reference_plane import counted_plane
from qpi_kernels.prepare.step import Step

__all__ = ["STEP", "RemovePickup"]

# Averages over all rows fluctuate less than single samples of a spectrum.
_ROW_PROMINENCE_SHARE = 0.2
# Of single precision, which files have.
_FLAT = 1e-6


class RemovePickup(Step):
    """Subtract tones of electrical pickup: single sharp peaks, neither lattice nor ring.

    The frequencies are those of the mean of all biases; every bias has its own amplitudes and
    phases.
    """

    phase: Literal["locked", "per row"] = Field(
        default="locked",
        description="One phase over the whole map; or one per row, for mains that the scan does "
        "not wait for, which shows as a column in the Fourier transform.",
    )
    prominence: float = Field(
        default=10.0,
        ge=3,
        description="Least amplitude of a tone's peak over its background; a fifth of it for the "
        "average over rows.",
        json_schema_extra={"unit": "x"},
    )
    max_tones: int = Field(default=12, ge=1, le=40, description="Largest number of tones.")

    def change(self, scan: Prepared) -> tuple[Prepared, Mapping[str, Any]]:
        """Find the tones in the mean plane, and subtract them from every plane."""
        mask = scan.mask
        plane = counted_plane(scan)
        subtract: Callable[..., NDArray[np.float64]] = without_waves
        if np.nanstd(plane) <= _FLAT * np.nanmax(np.abs(plane)):
            waves, amplitude = np.empty((0, 2)), np.empty(0)
        elif self.phase == "locked":
            waves, amplitude = tones_of(plane, self.prominence, self.max_tones)
        else:
            along, amplitude = row_tones_of(
                plane,
                _ROW_PROMINENCE_SHARE * self.prominence,
                self.max_tones,
                lattice_waves(plane)[:, 1],
            )
            # No one wave number across the rows.
            waves = np.stack([np.full(len(along), np.nan), along], axis=1)
            subtract = without_row_tones

        def without(values: NDArray[np.float64]) -> NDArray[np.float64]:
            """Subtract the tones from a plane."""
            counted = mask & np.isfinite(values)
            if not counted.any():
                return values
            fitted = np.where(np.isfinite(values), values, 0.0)
            found = waves if subtract is without_waves else waves[:, 1]
            return np.where(np.isfinite(values), subtract(fitted, counted, found), np.nan)

        height, width, unit = pitch(scan.image)
        found: dict[str, Any] = {
            "tones": len(waves),
            f"wave_rad_per_{unit}": waves / np.array([height, width]),
            "amplitude": amplitude,
            "amplitude_unit": str(scan.image.attrs.get("units", "")),
        }
        frequency = frequencies_hz(scan.image, waves[:, 1])
        if frequency is not None:
            found["frequency_Hz"] = frequency
        if not len(waves):
            return scan, {**found, "removed_share": 0.0}
        after = np.where(mask, without(np.where(mask, plane, 0.0)), np.nan)
        found["removed_share"] = float(
            np.nanstd(plane - after) / max(float(np.nanstd(plane)), 1e-300)
        )
        return replace(scan, image=map_planes(without, scan.image)), found


STEP = RemovePickup
