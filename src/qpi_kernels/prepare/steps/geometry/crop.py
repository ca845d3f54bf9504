"""`Crop`: a rectangle of the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import xarray as xr
from pydantic import Field

from qpi_kernels.prepare.geometry.frame import Frame
from qpi_kernels.prepare.geometry.resampling import resample
from qpi_kernels.prepare.prepared import PreparationError, Prepared
from qpi_kernels.prepare.step import Step

__all__ = ["STEP", "Crop"]

_Pixel = Annotated[int, Field(ge=0)]


class Crop(Step):
    """Cut out a rectangle; coordinates in nm stay, pixel coordinates of defects move along.

    Defects outside of the rectangle are kept: their waves reach into it.
    """

    rows: tuple[_Pixel, _Pixel] = Field(
        description="First row, and the row after the last.", json_schema_extra={"unit": "px"}
    )
    columns: tuple[_Pixel, _Pixel] = Field(
        description="First column, and the column after the last.",
        json_schema_extra={"unit": "px"},
    )

    @classmethod
    def for_image(cls, image: xr.DataArray) -> Crop:
        """Begin with the whole image."""
        rows, columns = image.shape[-2:]
        return cls(rows=(0, rows), columns=(0, columns))

    def change(self, scan: Prepared) -> tuple[Prepared, Mapping[str, Any]]:
        """Cut image and mask, and move the defects."""
        for (first, last), size, what in zip(
            (self.rows, self.columns), scan.mask.shape, ("rows", "columns"), strict=True
        ):
            if not first < last <= size:
                raise PreparationError(
                    f"crop: {what} {first} to {last} do not lie within the image, which has {size}"
                )
        corner = np.array([self.rows[0], self.columns[0]], float)
        shape = (self.rows[1] - self.rows[0], self.columns[1] - self.columns[0])
        cut = resample(scan, Frame(shape, np.eye(2), corner))
        return cut, {"removed_px": scan.mask.size - cut.mask.size}


STEP = Crop
