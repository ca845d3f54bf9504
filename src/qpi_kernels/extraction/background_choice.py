"""The background that belongs to a preparation: what it levelled is fitted again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.background import BackgroundKind
from qpi_kernels.extraction.parameters import BackgroundChoice
from qpi_kernels.prepare.levelling.surface import label_terraces
from qpi_kernels.prepare.moved_report.labels import SCAN_LINES, TERRACES
from qpi_kernels.prepare.prepared import Prepared

__all__ = ["PixelLabels", "choose_background"]

# Specks between masked steps, each with an offset of its own, tell nothing of a kernel.
_MIN_SHARE = 0.005


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
        From 1; 0 where there is none, and pixels do not count.
    lines : array of int, (y, x), optional
        Scan lines from 0, where they are not the rows of the image.
    """

    terraces: NDArray[np.int64] | None = None
    lines: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, prepared: Prepared) -> PixelLabels:
        """Look up the labels in a report.

        Where a map was levelled behind a mask that was given, terraces are the regions that the
        mask leaves apart, as they are to `qpi_kernels.prepare.Level`.
        """
        terraces = _last(prepared.report, TERRACES)
        levelled = any(entry["step"] == "level" for entry in prepared.history)
        if terraces is None and levelled:
            terraces = label_terraces(prepared.mask)
        if terraces is not None:
            terraces = _large_terraces(np.where(prepared.mask, terraces, 0))
        return cls(terraces, _last(prepared.report, SCAN_LINES))


def _last(report: Mapping[str, Mapping[str, Any]], key: str) -> NDArray[np.int64] | None:
    """Look up the last labels of a name."""
    found = [step[key] for step in report.values() if key in step]
    return np.asarray(found[-1], np.int64) if found else None


def _large_terraces(terraces: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Keep terraces that have a say in the kernel; None where all that counts is one."""
    sizes = np.bincount(terraces.ravel())
    sizes[0] = 0
    large = sizes > _MIN_SHARE * sizes.sum()
    if not large.any() or np.count_nonzero(sizes) == 1:
        return None
    return np.where(large[terraces], terraces, 0)
