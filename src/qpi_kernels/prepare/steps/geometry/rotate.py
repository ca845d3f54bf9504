"""`Rotate`: the image, turned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field

from qpi_kernels.prepare.geometry.frame import Frame, pitch
from qpi_kernels.prepare.geometry.resampling import resample
from qpi_kernels.prepare.prepared import Prepared
from qpi_kernels.prepare.step import Step

__all__ = ["STEP", "Rotate"]


class Rotate(Step):
    """Turn the image about its middle; quarter turns copy values, others interpolate.

    One quarter turn on the ``same`` canvas of, say, 32 x 33 pixels interpolates, too: the middle of
    the new image lies between pixels of the old one.
    Pixels that are not square become square of the finer pitch, except in quarter turns.
    """

    angle_deg: float = Field(
        default=90.0,
        ge=-360.0,
        le=360.0,
        description="Angle, anticlockwise as seen.",
        json_schema_extra={"unit": "deg"},
    )
    canvas: Literal["whole", "same"] = Field(
        default="whole",
        description="Size of the new image: large enough for the whole image, or as it was.",
    )

    def change(self, scan: Prepared) -> tuple[Prepared, Mapping[str, Any]]:
        """Turn image, mask, defects and channels."""
        quarters = self.angle_deg / 90.0
        steps = np.array(pitch(scan.image)[:2])
        angle = math.radians(self.angle_deg)
        cosine, sine = math.cos(angle), math.sin(angle)
        if quarters == round(quarters):
            cosine, sine = float(round(cosine)), float(round(sine))
            new = steps[::-1] if round(quarters) % 2 else steps
        else:
            new = np.full(2, steps.min())
        matrix = np.array([[cosine, sine], [-sine, cosine]]) * new / steps[:, None]
        old = (scan.mask.shape[0], scan.mask.shape[1])
        size = old
        if self.canvas == "whole":
            corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]]) * (np.array(old) - 1) / 2
            reach = np.abs(corners @ np.linalg.inv(matrix).T).max(axis=0)
            rows, columns = (math.ceil(2 * half - 1e-6) + 1 for half in reach)
            size = (rows, columns)
        turned = resample(scan, Frame.about_centre(old, size, matrix))
        return turned, {"angle_deg": self.angle_deg, "counted_px": int(turned.mask.sum())}


STEP = Rotate
