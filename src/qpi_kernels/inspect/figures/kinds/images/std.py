"""``std``: the kernel's posterior standard deviation."""

from __future__ import annotations

from typing import Any

import numpy as np

from qpi_kernels.inspect.figures.kind import FigureKind, FigurePanel
from qpi_kernels.inspect.figures.kinds.images.image import image_panel
from qpi_kernels.inspect.figures.planes import (
    bias_words,
    clearest_bias,
    one_kind,
    one_plane,
    require_result,
)

__all__ = ["KIND"]


def _panel(
    result: Any, *, bias: float | None = None, kind_of_defect: str | None = None
) -> FigurePanel:
    """Make the panel of the standard deviation of a result's kernel."""
    known = require_result(result, "std")
    bias = clearest_bias(known) if bias is None else bias
    kernel = one_plane(one_kind(known.kernel, kind_of_defect), bias)
    std = one_plane(one_kind(known.std, kind_of_defect), bias)
    size = float(np.sqrt(np.square(kernel.values, dtype=float).mean()))
    share = float(np.sqrt(np.square(std.values, dtype=float).mean())) / size if size else np.nan
    several = "kind" in known.kernel.dims
    kind = f" {std['kind'].values}" if several else ""
    caption = (
        f"Standard deviation of the kernel{kind}{bias_words(std)}, pixel by pixel; its rms is "
        f"{100 * share:.3g} % of the kernel's."
    )
    std = std.assign_attrs(long_name="standard deviation of the kernel")
    title = f"Standard deviation{kind and ' of'}{kind}"
    return image_panel(std.rename("std"), title, caption, signed=False, from_zero=True)


KIND = FigureKind("std", "the standard deviation of the kernel", _panel, of_kernel=True)
