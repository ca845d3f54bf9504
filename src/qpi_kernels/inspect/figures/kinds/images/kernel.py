"""``kernel``: the single-defect kernel in real space."""

from __future__ import annotations

from typing import Any

from qpi_kernels.inspect.figures.kind import FigureKind, FigurePanel
from qpi_kernels.inspect.figures.kinds.images.image import image_panel
from qpi_kernels.inspect.figures.planes import (
    bias_words,
    clearest_bias,
    one_kind,
    one_plane,
    require_result,
)
from qpi_kernels.kernel_files import kernel_name

__all__ = ["KIND"]


def _panel(
    result: Any, *, bias: float | None = None, kind_of_defect: str | None = None
) -> FigurePanel:
    """Make the panel of a result's kernel."""
    known = require_result(result, "kernel")
    kernel = one_kind(known.kernel, kind_of_defect)
    plane = one_plane(kernel, clearest_bias(known) if bias is None else bias)
    several = "kind" in known.kernel.dims
    kind = str(plane["kind"].values) if several else None
    name = kernel_name(known, kind)
    caption = f"The {name}{bias_words(plane)}: what one defect of strength 1 alone adds to the map."
    plane = plane.assign_attrs(long_name=f"kernel, {plane.attrs.get('long_name', 'observation')}")
    return image_panel(plane.rename("kernel"), name.capitalize(), caption, signed=True)


KIND = FigureKind("kernel", "the kernel in real space", _panel, of_kernel=True)
