"""`Rebin`: blocks of pixels, averaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from qpi_kernels.prepare.geometry.frame import Frame, pitch
from qpi_kernels.prepare.geometry.resampling import map_planes
from qpi_kernels.prepare.moved_report.labels import move_labels
from qpi_kernels.prepare.moved_report.noise_covariance import with_covariance
from qpi_kernels.prepare.prepared import PreparationError, Prepared
from qpi_kernels.prepare.step import Step

__all__ = ["STEP", "Rebin"]


class Rebin(Step):
    """Average blocks of pixels; a block counts if all of its pixels do.

    The average multiplies a wave q along an axis by ``sinc(q m px / 2)``, and waves beyond the new
    Nyquist wave vector appear folded. Rows and columns that fill no block are cut off.
    """

    factor: int = Field(
        default=2,
        ge=2,
        le=64,
        description="Pixels of a block along rows and columns.",
        json_schema_extra={"unit": "px"},
    )

    def change(self, scan: Prepared) -> tuple[Prepared, Mapping[str, Any]]:
        """Average image and channels, and move mask and defects."""
        size = self.factor
        rows, columns = (side // size for side in scan.mask.shape)
        if not rows or not columns:
            raise PreparationError(
                f"rebin: blocks of {size} pixels do not fit the image of {scan.mask.shape}"
            )
        frame = Frame((rows, columns), size * np.eye(2), np.full(2, (size - 1) / 2))

        def blocks(plane: NDArray[Any]) -> NDArray[Any]:
            return plane[: rows * size, : columns * size].reshape(rows, size, columns, size)

        def coarse(image: xr.DataArray) -> xr.DataArray:
            new = map_planes(lambda plane: blocks(plane).mean(axis=(1, 3)), image, frame.shape)
            return frame.place(image, new)

        # The means of blocks are white again, as good as.
        report = with_covariance(scan.report, None)
        defects = scan.defects
        if defects is not None and len(defects):
            defects = defects.moved(frame.to_new(defects.positions))
        made = replace(
            scan,
            image=coarse(scan.image),
            mask=np.asarray(blocks(scan.mask).all(axis=(1, 3))),
            defects=defects,
            report=move_labels(report, frame.grid(), scan.mask.shape),
            channels={name: coarse(channel) for name, channel in scan.channels.items()},
        )
        height, width, unit = pitch(made.image)
        largest = np.pi / max(height, width)
        key = "nyquist_rad_per_nm" if unit == "nm" else "nyquist_rad_per_px"
        return made, {
            key: float(largest if unit == "nm" else largest / size),
            "removed_px": scan.mask.size - rows * columns * size**2,
        }


STEP = Rebin
