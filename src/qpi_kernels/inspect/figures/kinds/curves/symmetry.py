"""``symmetry``: how well a kernel agrees with its rotated and mirrored copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xarray as xr

from qpi_kernels.inspect.figures.kind import FigureKind, FigurePanel
from qpi_kernels.inspect.figures.planes import one_kind, require_result
from qpi_kernels.inspect.kernel_symmetry import SymmetryScores, symmetry_scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["KIND"]


def _panel(result: Any, *, kind_of_defect: str | None = None) -> FigurePanel:
    """Make the panel of a result's, or of given, symmetry scores."""
    kind = ""
    if isinstance(result, SymmetryScores):
        scores = result
    else:
        known = require_result(result, "symmetry")
        kernel, std = (one_kind(one, kind_of_defect) for one in (known.kernel, known.std))
        draws = None if known.draws is None else one_kind(known.draws, kind_of_defect)
        scores = symmetry_scores(kernel, std=std, draws=draws)
        kind = f" {kernel['kind'].values}" if "kind" in known.kernel.dims else ""
    data = scores.table()

    def draw(axes: Axes, data: xr.Dataset) -> None:
        """Draw the scores over those of noise."""
        scores.plot(axes)
        # Bars fill the axes.
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), frameon=False)

    supported = [name for name, holds in scores.supported.items() if holds]
    caption = (
        f"Correlation of the kernel{kind} with its copies, rotated (C) or mirrored (m and the "
        "angle of the line in degrees, anticlockwise), beside those of noise alone and of a "
        f"symmetric kernel with that noise. Supported: {', '.join(supported) or 'none'}."
    )
    return FigurePanel(f"Symmetry{kind and ' of'}{kind}", caption, data, draw)


KIND = FigureKind(
    "symmetry", "scores of rotations and mirrors beside those of noise", _panel, of_kernel=True
)
