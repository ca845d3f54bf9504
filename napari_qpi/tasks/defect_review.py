"""Defects that an extraction suggests to mark, and marks it doubts, as points layers; no Qt."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_qpi.layers.conversion import (
    METADATA_KEY,
    PROPOSALS,
    LayerData,
    points_from_defects,
)
from qpi_kernels.progress import Event, GeneratorStepper, portion

if TYPE_CHECKING:
    from napari_qpi.tasks.extraction import ExtractionInput
    from qpi_kernels.defects import Defects
    from qpi_kernels.extraction.refine.defect_review import DefectReport
    from qpi_kernels.result import KernelResult

__all__ = ["ProposalSearch", "Proposals", "doubtful_layer", "proposed_layer"]

# Unlike the colours of kinds, and unlike each other in shape too.
_PROPOSED_LOOK = {"face_color": "#39FF14", "symbol": "cross"}
_DOUBTFUL_LOOK = {"face_color": "#FF1744", "symbol": "x"}


@dataclass(frozen=True)
class Proposals:
    """Defects that a result suggests to mark, and marked ones that it doubts.

    Parameters
    ----------
    missed : DefectReport
        Defects that show but were not marked.
    spurious : DefectReport
        Marked defects of which hardly anything shows.
    """

    missed: DefectReport
    spurious: DefectReport


class ProposalSearch(GeneratorStepper[Proposals]):
    """Search the residual for unmarked defects, and the marked defects for spurious ones.

    Parameters
    ----------
    task : ExtractionInput
        The input of the extraction.
    result : KernelResult
        Its result.
    """

    def __init__(self, task: ExtractionInput, result: KernelResult) -> None:
        self._task = task
        self._kernel = result

    def _run(self) -> Generator[Event, None, Proposals]:
        from qpi_kernels.extraction.refine.defect_review import search_proposals, search_spurious

        mask = self._task.mask
        missed = yield from portion(search_proposals(self._kernel, mask=mask), 0.0, 0.5)
        spurious = yield from portion(search_spurious(self._kernel, mask=mask), 0.5, 1.0)
        return Proposals(missed, spurious)


def proposed_layer(proposals: Proposals, task: ExtractionInput) -> LayerData:
    """Show the missed defects as points over the image."""
    missed = proposals.missed
    return _points(missed, missed.defects, task, "proposed defects", _PROPOSED_LOOK)


def doubtful_layer(proposals: Proposals, task: ExtractionInput, result: KernelResult) -> LayerData:
    """Show the spurious defects as points over the image, where they were marked."""
    spurious = proposals.spurious
    # Refined positions are elsewhere, but the marks did not move.
    marked = task.defects if len(task.defects) else result.defects
    return _points(spurious, marked[spurious.index], task, "doubtful defects", _DOUBTFUL_LOOK)


def _points(
    report: DefectReport, defects: Defects, task: ExtractionInput, name: str, look: dict[str, str]
) -> LayerData:
    """Make the points layer of one suggestion."""
    data, arguments, kind = points_from_defects(
        defects, task.image, name=f"{task.image.name} {name}"
    )
    arguments.pop("face_color_cycle", None)
    features = {
        "kind": np.asarray(defects.kind, dtype=object),
        "strength": np.array(report.defects.strength),
        "z_score": np.array(report.z_score),
    }
    arguments["feature_defaults"] = {**arguments["feature_defaults"], "z_score": np.nan}
    known = {METADATA_KEY: {"role": PROPOSALS}}
    return data, {**arguments, **look, "features": features, "metadata": known}, kind
