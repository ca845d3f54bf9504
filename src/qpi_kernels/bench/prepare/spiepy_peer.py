"""SPIEPy, levelled as its manual does: masks of steps or iterated ones, then a plane."""

from __future__ import annotations

import contextlib
import io

import numpy as np
from scipy import ndimage

from qpi_kernels.bench.peers import Array, Way, import_peer

__all__ = ["spiepy_ways"]

_MARGIN_PX = 3
_ITERATIONS = 20


def spiepy_ways() -> list[Way]:
    """List SPIEPy's ways to level a map with a step; errors as for `import_peer`.

    It has none for the other tasks.
    """
    tool, spiepy = import_peer("SPIEPy", "pip install SPIEPy", "SPIEPy", "spiepy")

    def masked(raw: Array) -> Array:
        first, _ = spiepy.flatten_xy(raw)
        edges = ndimage.binary_dilation(spiepy.locate_steps(first), iterations=_MARGIN_PX)
        return np.asarray(spiepy.flatten_xy(raw, edges)[0])

    def iterated(raw: Array) -> Array:
        with contextlib.redirect_stdout(io.StringIO()):
            made = spiepy.flatten_by_iterate_mask(raw, fit_type="xy", max_iterations=_ITERATIONS)
        return np.asarray(made[0])

    return [
        Way(tool, "flatten_xy", "step", lambda raw: np.asarray(spiepy.flatten_xy(raw)[0])),
        Way(
            tool,
            "flatten_poly_xy(deg=1)",
            "step",
            lambda raw: np.asarray(spiepy.flatten_poly_xy(raw, deg=1)[0]),
        ),
        Way(
            tool,
            "flatten_by_iterate_mask",
            "step",
            iterated,
        ),
        Way(tool, "locate_steps, then flatten_xy", "step", masked),
    ]
