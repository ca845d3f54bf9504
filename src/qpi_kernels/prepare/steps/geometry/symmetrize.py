"""`Symmetrize`: the average over a point group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import xarray as xr
from pydantic import Field, field_validator

from qpi_kernels.prepare.geometry.frame import Frame, pitch
from qpi_kernels.prepare.geometry.resampling import read_at, resample
from qpi_kernels.prepare.prepared import PreparationError, Prepared
from qpi_kernels.prepare.reference_plane import counted_plane, mean_plane
from qpi_kernels.prepare.step import Step
from qpi_kernels.symmetry import Symmetry

__all__ = ["STEP", "Symmetrize"]


class Symmetrize(Step):
    """Average an image over a point group about one point.

    Serves kernels, Fourier magnitudes and surroundings of one defect; a map with many defects has
    no point symmetry. Remove linear distortion first (`CorrectDrift`). A magnitude of real data
    is two-fold in any case, so that C3 shows as C6. Each pixel is averaged over those of its
    images that count.
    """

    symmetry: str = Field(
        default="C4v",
        description="Point group: C2, C3, C4, C6, Cs, C2v ... C6v, with mirrors optionally @angle.",
    )
    centre: Literal["zero", "defect"] = Field(
        default="zero",
        description="Pixel n//2 (a kernel's centre, the zero of a Fourier image), or the first "
        "defect, which is then moved there.",
    )

    @field_validator("symmetry")
    @classmethod
    def _known(cls, text: str) -> str:
        return str(Symmetry.parse(text))

    def change(self, scan: Prepared) -> tuple[Prepared, Mapping[str, Any]]:
        """Average image and channels; the mask grows where an image of a pixel counts."""
        if self.centre == "defect":
            scan = self._about_defect(scan)
        zero = np.array([side // 2 for side in scan.mask.shape], float)
        before = counted_plane(scan)
        steps = np.array(pitch(scan.image)[:2])
        operations = [
            turn * steps / steps[:, None] for turn in Symmetry.parse(self.symmetry).operations()
        ]
        shape = (scan.mask.shape[0], scan.mask.shape[1])
        grids = [Frame(shape, turn, zero - turn @ zero).grid() for turn in operations]

        def average(image: xr.DataArray) -> xr.DataArray:
            counted = image.where(scan.mask)
            turned = xr.concat([read_at(counted, grid) for grid in grids], "operation")
            mean = turned.mean("operation", skipna=True).transpose(*image.dims)
            coords = {name: image.coords[name] for name in ("y", "x") if name in image.coords}
            return mean.assign_coords(coords).assign_attrs(image.attrs).rename(image.name)

        made = average(scan.image)
        mask = np.isfinite(mean_plane(made))
        done = replace(
            scan,
            image=made,
            mask=mask,
            channels={name: average(channel) for name, channel in scan.channels.items()},
        )
        after = counted_plane(done)
        both = np.isfinite(before) & np.isfinite(after)
        spread = float(before[both].std())
        rest = float((before - after)[both].std())
        return done, {
            "residual_share": rest / spread if spread > 0 else 0.0,
            "operations": len(operations),
        }

    @staticmethod
    def _about_defect(scan: Prepared) -> Prepared:
        """Move the first defect to pixel n//2 of the largest window about it."""
        if scan.defects is None or not len(scan.defects):
            raise PreparationError("symmetrize: there is no defect to turn about; mark one")
        position = scan.defects.positions[0]
        room = np.floor(np.minimum(position, np.array(scan.mask.shape) - 1 - position)).astype(int)
        if room.min() < 1:
            raise PreparationError("symmetrize: the first defect lies at the edge of the image")
        shape = (int(2 * room[0] + 1), int(2 * room[1] + 1))
        return resample(scan, Frame(shape, np.eye(2), position - room))


STEP = Symmetrize
