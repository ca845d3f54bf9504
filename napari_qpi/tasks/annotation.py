"""`AutomaticChange`: finding, snapping and tidying defects, prepared for a worker; no Qt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_qpi.layers.defect_points import DefectPoints, Snapshot
from qpi_kernels.defects import (
    Defects,
    DetectionParameters,
    SnappingParameters,
    detect_defects,
    snap_positions,
    without_duplicates,
)

__all__ = ["AutomaticChange", "Computation", "detection", "snapping", "tidying"]

Computation = Callable[[Defects], Defects]


@dataclass(frozen=True)
class AutomaticChange:
    """An automatic change of defects under way, with the points as they were when it began.

    Parameters
    ----------
    name : str
        ``"Detect"``, ``"Snap"`` or ``"Remove duplicates"``.
    points : DefectPoints
        The points to change.
    image : napari.layers.Image
        The image in whose pixels the defects are computed.
    before : Snapshot
        The points at the start.
    moves : bool
        Move the points one by one instead of replacing them.
    """

    name: str
    points: DefectPoints
    image: Image
    before: Snapshot
    moves: bool

    @property
    def outdated(self) -> bool:
        """True if the points were edited since the start."""
        return not self.points.snapshot().same_as(self.before)

    def apply(self, defects: Defects) -> None:
        """Show the computed defects."""
        (self.points.move if self.moves else self.points.replace)(defects, self.image)

    def summary(self, defects: Defects) -> str:
        """Describe the change, for display."""
        count, before = len(defects), len(self.before.data)
        if self.moves:
            return f"Snapped {count} point{'s' * (count != 1)}."
        if self.name == "Detect":
            found = f"{defects.in_words()} now, {before} before."
            hint = "Lower the threshold, enter their size, or choose bright or dark."
            return found if count else f"No defects found. {hint}"
        removed = before - count
        return (
            f"Removed {removed} duplicate{'s' * (removed != 1)}." if removed else "No duplicates."
        )


def detection(
    plane: NDArray[Any], counted: NDArray[np.bool_] | None, values: Mapping[str, Any], kind: str
) -> Computation:
    """Find defects; those found replace the ones of their kind.

    Parameters
    ----------
    plane : array, (y, x)
        The map.
    counted : array of bool, (y, x), or None
        True where defects may be.
    values : mapping
        Fields of `DetectionParameters`.
    kind : str
        Kind of those found; bright and dark ones, where both are found, are kinds of their own.

    Raises
    ------
    pydantic.ValidationError
        If a value is out of range.
    """
    parameters = DetectionParameters.model_validate({**values, "kind": None})
    both = {"bright", "dark"} if values["polarity"] in ("auto", "both") else set()

    def find(before: Defects) -> Defects:
        found = detect_defects(plane, mask=counted, parameters=parameters)
        if not both & set(found.kinds):
            found = Defects(found.positions, kind)
        replaced = {kind} | both | set(found.kinds)
        return Defects.concatenate([before[~np.isin(before.kind, list(replaced))], found])

    return find


def snapping(
    plane: NDArray[Any], counted: NDArray[np.bool_] | None, values: Mapping[str, Any]
) -> Computation:
    """Move points onto the local pattern; parameters and errors as in `detection`."""
    parameters = SnappingParameters.model_validate(values)
    return lambda before: snap_positions(plane, before, mask=counted, parameters=parameters)


def tidying(values: Mapping[str, Any]) -> Computation:
    """Keep one of any points closer than the snap radius; errors as in `detection`."""
    radius = SnappingParameters.model_validate(values).radius_px
    return lambda before: without_duplicates(before, radius)
