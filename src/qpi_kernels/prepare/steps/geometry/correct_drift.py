"""`CorrectDrift`: the lattice made regular."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from qpi_kernels.prepare.geometry.frame import Frame, pitch
from qpi_kernels.prepare.geometry.resampling import resample
from qpi_kernels.prepare.lattice.bragg_peaks import BraggPeaks, BraggVectors, chosen_peaks
from qpi_kernels.prepare.lattice.displacement import follow_lattice, inverted
from qpi_kernels.prepare.lattice.target import Target, linear_displacement, target_waves
from qpi_kernels.prepare.prepared import PreparationError, Prepared
from qpi_kernels.prepare.reference_plane import counted_plane
from qpi_kernels.prepare.step import Step

__all__ = ["STEP", "CorrectDrift"]

_MAX_RESIDUES = 0.1
# An atomic lattice is rarely wider, a moire is.
_WIDE_LATTICE_NM = 1.0


class CorrectDrift(Step):
    """Correct drift and creep by the phases of the atomic lattice.

    The lattice is followed in the channel ``topography`` where there is one, else in the image
    (the mean of its biases), and image, channels, mask and defects move alike.
    """

    channels = ("topography",)

    target: Target = Field(
        default="mean",
        description="Lattice to reach: the mean one found, or the square or hexagonal one, "
        "which corrects shear, too, and keeps the direction of the rows.",
    )
    lattice_constant: float | None = Field(
        default=None,
        gt=0,
        description="Lattice constant: tells the lattice's peaks from others, and the size of a "
        "square or hexagonal target, which keeps the cell's area if left out. In px where the "
        "image has no pitch.",
        json_schema_extra={"unit": "nm"},
    )
    bragg_peaks: BraggVectors = None
    width: float | None = Field(
        default=None,
        ge=0.5,
        le=10,
        description="Standard deviation of the averaging window in row spacings of the lattice; "
        "1.5, and up to 3 in noise, if left out.",
        json_schema_extra={"unit": "row spacings"},
    )

    def change(self, scan: Prepared) -> tuple[Prepared, Mapping[str, Any]]:
        """Measure the lattice's displacement, and resample without it."""
        source = "topography" if "topography" in scan.channels else None
        plane = counted_plane(scan, source)
        shape = plane.shape
        *pitches, unit = pitch(scan.image)
        scale = np.array(pitches)
        peaks = chosen_peaks(
            plane, (pitches[0], pitches[1]), unit, self.bragg_peaks, self.lattice_constant
        )
        field = follow_lattice(
            _without_defects(plane, scan, peaks.spacing_px), peaks.vectors_px, self.width
        )
        share = float(field.residues[np.isfinite(plane)].mean())
        if share > _MAX_RESIDUES:
            raise PreparationError(
                f"the lattice is not resolved: about {share:.0%} of the pixels its phase has no "
                "one value; widen the window, mask what is not flat, or leave drift uncorrected"
            )
        mean = field.waves / scale
        wanted = target_waves(mean, self.target, self.lattice_constant)
        drift = linear_displacement(field.waves, wanted * scale, field.displacement)
        displacement = inverted(drift)
        sure = replace(scan, mask=scan.mask & ~field.residues)
        moved = resample(sure, Frame((shape[0], shape[1]), np.eye(2), np.zeros(2)), displacement)
        report: dict[str, Any] = {
            "displacement_px": displacement,
            "rms_px": float(np.sqrt((displacement[:, moved.mask] ** 2).sum(axis=0).mean())),
            f"bragg_rad_per_{unit}": mean,
            "bragg_rad_per_px": field.waves,
            f"target_rad_per_{unit}": wanted,
            f"lattice_constant_{unit}": BraggPeaks(
                mean, field.waves, peaks.prominence, peaks.symmetry, unit
            ).constant,
            "symmetry": peaks.symmetry,
            "target": self.target,
            "measured_in": source or "image",
            "window_px": field.width_px,
            "noise_ratio": field.noise_ratio,
            "residue_share": share,
            "masked_px": int(scan.mask.sum() - moved.mask.sum()),
        }
        if unit == "nm" and report["lattice_constant_nm"] > _WIDE_LATTICE_NM:
            report["warning"] = (
                f"the lattice constant, {report['lattice_constant_nm']:.2g} nm, is more like that "
                "of a moire or a charge density wave, whose own distortions are no drift"
            )
        return moved, report


def _without_defects(
    plane: NDArray[np.float64], scan: Prepared, radius: float
) -> NDArray[np.float64]:
    """Ignore the lattice within a radius in px of every defect."""
    if scan.defects is None:
        return plane
    free = np.ones(plane.shape, bool)
    rows, columns = (np.arange(n) for n in plane.shape)
    for row, column in scan.defects.positions:
        free &= np.hypot((rows - row)[:, None], columns - column) > radius
    apart = np.where(free, plane, np.nan)
    if not np.isfinite(apart).any():
        raise PreparationError(
            "correct drift: the marked defects leave no lattice to follow; mark fewer defects, or "
            "leave drift uncorrected"
        )
    return apart


STEP = CorrectDrift
