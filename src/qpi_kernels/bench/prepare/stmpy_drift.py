"""stmpy's drift correction: its displacement on the grid of its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from qpi_kernels.bench.peers import Array

__all__ = ["StmpyDrift"]

_MIN_PEAK = 0.25
_USUAL_ANGLES = np.pi * np.array([0, 1 / 6, 1 / 4, 1 / 3, 1 / 2])
_ROUNDS = 20


@dataclass(frozen=True)
class StmpyDrift:
    """Find the displacement as ``stmpy.driftcorr.find_drift_parameter`` does."""

    module: Any
    method: Literal["lockin", "convolution"]
    sigma: float
    """Width of the window: in q-pixels for lockin, in px for convolution."""
    peaks: Literal["regular", "found", "centred"]
    """Its regular lattice in whole q-pixels; the peaks that it finds; these with the zero of the
    transform at n // 2 (it takes (n - 1) // 2, one q-pixel off where n is even)."""
    sign: int = 1

    @property
    def name(self) -> str:
        """Call and parameters."""
        minus = "" if self.sign > 0 else ", -u"
        return f"{self.method}, sigma={self.sigma:g}, {self.peaks} peaks{minus}"

    def displacement(self, raw: Array) -> Array:
        """Find u (2, y, x) in px: the result at r shows the raw map at r + u."""
        down, across = self._found(raw)
        if self.method == "lockin":
            # It samples the raw map at r - u.
            return -np.stack([down, across])
        # It puts the pixel s of the raw map at s - u: solved for s by its fixed point.
        from scipy import ndimage

        field = np.stack([down, across])
        points = np.indices(raw.shape).astype(float)
        moved = field
        for _ in range(_ROUNDS):
            moved = np.stack(
                [ndimage.map_coordinates(one, points + moved, order=1, mode="nearest")
                 for one in field]
            )  # fmt: skip
        return moved

    def corrected(self, raw: Array) -> Array:
        """Correct the raw map, to be timed.

        The resampling of convolution is left out: of 512 x 512 px it takes 10 GB and minutes.
        """
        down, across = self._found(raw)
        if self.method == "convolution":
            return np.stack([down, across])
        return np.asarray(self.module.driftcorr(raw, across, down, method=self.method))

    def _found(self, raw: Array) -> tuple[Array, Array]:
        """Find its displacement along rows' axis and columns' axis, in px."""
        drift = self.module
        peaks = drift.findBraggs(raw, thres=_MIN_PEAK)
        if self.peaks == "regular":
            peaks = self._regular(raw, peaks)
        elif self.peaks == "centred":
            size = np.array(raw.shape[::-1])
            peaks = peaks - (size // 2 - (size - 1) // 2)
        first, second, *waves = drift.phasemap(raw, peaks, method=self.method, sigma=self.sigma)
        phases = [drift.fixphaseslip(theta, method="unwrap") for theta in (first, second)]
        across, down = drift.driftmap(*phases, *waves, method=self.method)
        return self.sign * down, self.sign * across

    def _regular(self, raw: Array, peaks: Array) -> Array:
        """Make the lattice regular as it does where the user gives no angle."""
        peaks = self.module.sortBraggs(peaks, s=raw.shape)
        waves = self.module.bp_to_q(peaks, raw)
        turns = np.diff([np.arctan2(*wave) for wave in waves])
        angle = _USUAL_ANGLES[np.argmin(np.abs(turns.mean() - _USUAL_ANGLES))]
        orient = np.arctan2(*waves[0][::-1])
        return np.asarray(self.module.generate_bp(raw, peaks, angle=angle, orient=orient))
