"""`CoreShape`: what a defect adds to the density within its own few atoms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["CoreShape"]


@dataclass(frozen=True)
class CoreShape:
    """A local density that the scattered waves do not describe, such as the defect's own orbitals.

    ``amplitude exp(-(r - ring)^2 / 2 width^2) (1 + lobes s(r) cos(fold (phi - angle)))``; the lobes
    vanish at the centre as an angular momentum must, ``s = (r^2 / (r^2 + 4 width^2))^(fold/2)``.

    Parameters
    ----------
    amplitude : float
        Relative to the largest scattered density in the window, of either sign.
    width_nm : float
        Standard deviation of the profile.
    ring_nm : float
        Radius of its maximum; 0 for a blob.
    fold : int
        Number of lobes around the centre; 0 for a round core.
    lobes : float
        How deep they are, 0 to 1.
    angle_deg : float
        Direction of the first, from x (columns) towards y (rows).
    """

    amplitude: float
    width_nm: float
    ring_nm: float = 0.0
    fold: int = 0
    lobes: float = 0.0
    angle_deg: float = 0.0

    def __post_init__(self) -> None:
        if self.width_nm <= 0 or self.ring_nm < 0:
            raise ValueError("width_nm must be positive and ring_nm not negative")

    def density(self, x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.float64]:
        """Evaluate on a grid.

        Parameters
        ----------
        x, y : array, (w,) and (h,)
            Coordinates in nm from the defect.

        Returns
        -------
        array, (h, w)
        """
        radius = np.hypot(y[:, None], x[None, :])
        profile = np.exp(-((radius - self.ring_nm) ** 2) / (2 * self.width_nm**2))
        if self.fold and self.lobes:
            angle = np.arctan2(y[:, None], x[None, :]) - np.deg2rad(self.angle_deg)
            square = radius**2
            grown = (square / (square + 4 * self.width_nm**2)) ** (self.fold / 2)
            profile = profile * (1 + self.lobes * grown * np.cos(self.fold * angle))
        return np.asarray(self.amplitude * profile, np.float64)
