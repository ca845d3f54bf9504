"""The background that belongs to a preparation: what it levelled is fitted again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.background import BackgroundKind
from qpi_kernels.extraction.parameters import BackgroundChoice
from qpi_kernels.prepare.moved_report.labels import SCAN_LINES, TERRACES
from qpi_kernels.prepare.prepared import Prepared

__all__ = ["PixelLabels", "choose_background"]


def choose_background(
    choice: BackgroundChoice, history: Sequence[Mapping[str, Any]]
) -> BackgroundKind:
    """Choose the background that can undo what a preparation may have subtracted in excess.

    Levelling takes part of the kernels for background: a row's median moves with the waves in it.
    Whatever combination of the same functions was subtracted, fitting them together with the
    kernels gives the kernels of the raw map.

    Parameters
    ----------
    choice : str
        ``auto``, or the background itself.
    history : sequence of mapping
        As in `qpi_kernels.prepare.Prepared`.

    Returns
    -------
    str
        At least a plane for ``auto``; see `Background`.
    """
    if choice != "auto":
        return choice
    quadratic = any(entry["step"] == "level" and entry.get("order", 1) == 2 for entry in history)
    if any(entry["step"] == "align_rows" for entry in history):
        return "rows+quadratic" if quadratic else "rows"
    return "quadratic" if quadratic else "plane"


@dataclass(frozen=True, eq=False)
class PixelLabels:
    """Terrace and scan line of each pixel, as far as a preparation tells.

    Parameters
    ----------
    terraces : array of int, (y, x), optional
        From 1; 0 where there is none.
    lines : array of int, (y, x), optional
        Scan lines from 0, where they are not the rows of the image.
    """

    terraces: NDArray[np.int64] | None = None
    lines: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, prepared: Prepared) -> PixelLabels:
        """Look up the labels in a report; the last step of a kind counts."""
        found: dict[str, NDArray[np.int64]] = {}
        for step in prepared.report.values():
            for key in (TERRACES, SCAN_LINES):
                if key in step:
                    found[key] = np.asarray(step[key], np.int64)
        return cls(found.get(TERRACES), found.get(SCAN_LINES))
