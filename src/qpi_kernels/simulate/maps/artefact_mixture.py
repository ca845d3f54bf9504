"""Random mixtures of artefacts, for training data."""

from __future__ import annotations

import numpy as np

from qpi_kernels.simulate.maps.artefacts import Artefacts
from qpi_kernels.simulate.maps.streams import Seed, stream

__all__ = ["draw_artefacts"]

_AMPLITUDES = {
    "flicker": (0.05, 0.7),
    "row_offsets": (0.05, 1.0),
    "mains": (0.02, 0.3),
    "glitches": (2e-4, 0.01),
    "missing_rows": (0.02, 0.4),
    "lost_rows": (0.005, 0.05),
}
"""Fields that are only on in a part of the maps, with their log-uniform ranges."""

_NOISE = (0.03, 1.0)
_LINE_TIME_S = (0.2, 5.0)
_STREAK_PX = (2.0, 30.0)
_STEP_PX = (1.0, 10.0)
_MAX_STREAKS = 8
_FRAME_DRIFT = (0.002, 0.02)


def draw_artefacts(
    shape: tuple[int, int], *, pixel_nm: float, seed: Seed, probability: float = 0.2
) -> Artefacts:
    """Draw a mixture of artefacts as maps of all qualities show it.

    White noise is always there, from 0.03 to 1 signal std. Every other artefact is on with the
    given probability, independently of the others. Amplitudes are log-uniform; drift moves the
    sample by 0.2 to 2 % of the frame while it is scanned.

    Parameters
    ----------
    shape : tuple of int
        Size of the frame (rows, columns).
    pixel_nm : float
        Pixel pitch, which turns lengths in pixels into nm.
    seed : int or sequence of int
        Seed of the draw.
    probability : float
        Of each artefact.

    Returns
    -------
    Artefacts
        For `apply_artefacts` at the same shape and pixel pitch.
    """
    rng = stream(seed, "artefact mixture")

    def on() -> bool:
        return bool(rng.random() < probability)

    def between(limits: tuple[float, float]) -> float:
        return float(np.exp(rng.uniform(*np.log(limits))))

    values: dict[str, float] = {"noise": between(_NOISE), "line_time_s": between(_LINE_TIME_S)}
    values["mains_hz"] = float(rng.choice([50.0, 60.0]))
    values |= {name: between(limits) for name, limits in _AMPLITUDES.items() if on()}
    if on():
        values["streaks"] = int(rng.integers(1, _MAX_STREAKS + 1))
        values["streak_nm"] = between(_STREAK_PX) * pixel_nm
    if on():
        values["tip_changes"] = 1
    if on():
        values["steps"] = 1
        values["step_nm"] = between(_STEP_PX) * pixel_nm
    if on():
        minutes = 2 * shape[0] * values["line_time_s"] / 60
        speed = between(_FRAME_DRIFT) * min(shape) * pixel_nm / minutes
        angle = 2 * np.pi * rng.random()
        values["drift_x_nm_per_min"] = speed * float(np.cos(angle))
        values["drift_y_nm_per_min"] = speed * float(np.sin(angle))
    return Artefacts.model_validate(values)
