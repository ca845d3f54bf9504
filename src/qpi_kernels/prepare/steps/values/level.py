"""`Level`: tilt and bow taken off, terraces by terraces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from qpi_kernels.prepare.geometry.resampling import map_planes
from qpi_kernels.prepare.levelling.surface import fit_surface, label_terraces
from qpi_kernels.prepare.prepared import Prepared
from qpi_kernels.prepare.reference_plane import counted_plane
from qpi_kernels.prepare.report_keys import with_unit
from qpi_kernels.prepare.step import Step

__all__ = ["STEP", "Level"]


class Level(Step):
    """Subtract a robust plane or parabola, with one level for each terrace.

    Terraces are the regions that the mask leaves apart, so `MaskSteps` comes first where there
    are steps. They have the slopes in common and keep their heights; the largest comes to zero.

    A cube loses one constant for each bias and no plane, for a plane takes with it what is slower
    than the frame, q < 2 pi / L.
    """

    order: Literal["auto", 0, 1, 2] = Field(
        default="auto",
        description="Degree of the surface: 0 a constant, 1 a plane, 2 a parabola; auto takes a "
        "plane for an image and a constant for a cube.",
    )
    terraces: Literal["keep", "one level"] = Field(
        default="keep",
        description="Let terraces keep their heights, or bring all to one level.",
    )

    def change(self, scan: Prepared) -> tuple[Prepared, Mapping[str, Any]]:
        """Subtract the surface, and the level of the largest terrace or of each."""
        plane = counted_plane(scan)
        counted = np.isfinite(plane)
        labels = label_terraces(counted)
        cube = scan.image.ndim == 3
        order: int = self.order if self.order != "auto" else (0 if cube else 1)
        surface = fit_surface(plane, labels, order)
        ground = _nearest(labels) if self.terraces == "one level" else np.ones_like(labels)
        shared = None if cube else surface.levels

        def level(values: NDArray[np.float64]) -> NDArray[np.float64]:
            flat = values - surface.height
            levels = shared
            if levels is None:
                levels = _completed(_medians(flat, labels), surface.levels)
            return flat - levels[ground - 1]

        image = map_planes(level, scan.image)
        v, u = (surface.height[[0, -1], :].mean(axis=1), surface.height[:, [0, -1]].mean(axis=0))
        rows, columns = plane.shape
        return replace(scan, image=image), {
            "order": order,
            with_unit("slope_down_per_px", scan.image): float((v[1] - v[0]) / max(rows - 1, 1)),
            with_unit("slope_right_per_px", scan.image): float((u[1] - u[0]) / max(columns - 1, 1)),
            with_unit("terrace_levels", scan.image): surface.levels - surface.levels[0],
            with_unit("residual_rms", scan.image): float(surface.scale),
        }


def _nearest(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give pixels between terraces the label of the nearest."""
    from scipy import ndimage

    if labels.all():
        return labels
    nearest = ndimage.distance_transform_edt(
        labels == 0, return_distances=False, return_indices=True
    )
    return np.asarray(labels[tuple(nearest)])


def _medians(plane: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Take the median of every terrace; NaN where it was not measured."""
    medians = np.full(int(labels.max()), np.nan)
    for terrace in range(medians.size):
        values = plane[labels == terrace + 1]
        values = values[np.isfinite(values)]
        if values.size:
            medians[terrace] = np.median(values)
    return medians


def _completed(levels: NDArray[np.float64], heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fill the levels of terraces that one bias did not measure, by their heights in the mean."""
    missing = np.isnan(levels)
    if missing.all() or not missing.any():
        return levels
    return np.where(missing, heights + np.median((levels - heights)[~missing]), levels)


STEP = Level
