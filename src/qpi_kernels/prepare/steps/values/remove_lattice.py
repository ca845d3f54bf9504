"""`RemoveLattice`: what repeats in every unit cell subtracted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from qpi_kernels.prepare.geometry.frame import pitch
from qpi_kernels.prepare.geometry.resampling import map_planes
from qpi_kernels.prepare.lattice.bragg_peaks import BraggPeaks, BraggVectors, chosen_peaks
from qpi_kernels.prepare.lattice.plane_waves import fitted_waves, without_waves
from qpi_kernels.prepare.lattice.spectrum import Spectrum
from qpi_kernels.prepare.lattice.unit_cell import (
    lattice_basis,
    ring_sentence,
    star,
    without_cell_average,
)
from qpi_kernels.prepare.prepared import PreparationError, Prepared
from qpi_kernels.prepare.reference_plane import counted_plane
from qpi_kernels.prepare.step import Step

__all__ = ["STEP", "RemoveLattice"]

# More of a Bragg peak than this is left only where the lattice is not regular.
_MAX_LEFT = 0.3


class RemoveLattice(Step):
    """Subtract the atomic lattice, best after `CorrectDrift`.

    The Bragg vectors are those of the mean of all biases, or of the channel ``topography`` where
    the image does not resolve the lattice; every bias has its own amplitudes.
    """

    channels = ("topography",)

    method: Literal["waves", "cell"] = Field(
        default="waves",
        description="Fit the waves of the Bragg peaks, or average all unit cells.",
    )
    harmonics: int = Field(
        default=2,
        ge=1,
        le=4,
        description="Waves up to so many times the length of the first Bragg vectors are fitted.",
    )
    lattice_constant: float | None = Field(
        default=None,
        gt=0,
        description="Lattice constant, which tells the lattice's peaks from others. In px where "
        "the image has no pitch.",
        json_schema_extra={"unit": "nm"},
    )
    bragg_peaks: BraggVectors = None

    def change(self, scan: Prepared) -> tuple[Prepared, Mapping[str, Any]]:
        """Find the Bragg vectors, fit every plane and subtract."""
        mask = scan.mask
        plane = counted_plane(scan)
        *pitches, unit = pitch(scan.image)
        peaks = self._peaks(scan, plane, (pitches[0], pitches[1]), unit)
        basis = lattice_basis(plane, peaks.vectors_px)
        waves, first = star(basis, self.harmonics), star(basis, 1)
        if not len(first):
            raise PreparationError(
                "the Bragg vectors lie at pi/px, where a map cannot tell a wave from its mirror "
                "image; give others, or take a map with more pixels in a unit cell"
            )

        def without(values: NDArray[np.float64]) -> NDArray[np.float64]:
            """Subtract the lattice from a plane."""
            measured = np.isfinite(values)
            counted = mask & measured
            if not counted.any():
                return values
            filled = np.where(measured, values, 0.0)
            if self.method == "waves":
                rest = without_waves(filled, counted, waves)
            else:
                rest = without_cell_average(filled, counted, basis)
            return np.where(measured, rest, np.nan)

        before = Spectrum.of(plane)
        after = Spectrum.of(without(plane))
        left = max(after.top(wave) / max(before.top(wave), 1e-300) for wave in first)
        amplitude = np.abs(fitted_waves(before.plane, before.counted, first))
        found: dict[str, Any] = {
            f"bragg_rad_per_{unit}": first / np.array(pitches),
            "symmetry": peaks.symmetry,
            "amplitude": amplitude,
            "amplitude_unit": str(scan.image.attrs.get("units", "")),
            "waves": len(waves),
            "left_share": left,
            "removed_share": float(
                np.std((before.plane - after.plane)[before.counted])
                / max(float(np.std(before.plane[before.counted])), 1e-300)
            ),
        }
        sentences = [ring_sentence(after, first, float(amplitude.max()))]
        if left > _MAX_LEFT:
            sentences.append(
                f"{left:.0%} of a Bragg peak is left, as the lattice is not regular: correct "
                "drift before"
            )
        warning = "; ".join(sentence for sentence in sentences if sentence)
        if warning:
            found["warning"] = warning
        return replace(scan, image=map_planes(without, scan.image)), found

    def _peaks(
        self,
        scan: Prepared,
        plane: NDArray[np.float64],
        pitches: tuple[float, float],
        unit: str,
    ) -> BraggPeaks:
        """Choose the Bragg peaks of the image, or else of its topograph."""
        options = pitches, unit, self.bragg_peaks, self.lattice_constant
        try:
            return chosen_peaks(plane, *options)
        except PreparationError:
            if "topography" not in scan.channels or self.bragg_peaks is not None:
                raise
        return chosen_peaks(counted_plane(scan, "topography"), *options)


STEP = RemoveLattice
