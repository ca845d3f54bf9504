"""Noise and artefacts of a scan: every switch, and the function that applies them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from pydantic.config import JsonDict

from qpi_kernels.defects import Defects
from qpi_kernels.parameters import Count, NonNegative, Parameters, Share, SignalStd
from qpi_kernels.simulate.maps import scan_events, scan_noise
from qpi_kernels.simulate.maps.scan_drift import Drift
from qpi_kernels.simulate.maps.streams import Seed, stream

__all__ = ["Artefacts", "apply_artefacts", "drifted"]

_SIGNAL: JsonDict = {"unit": "signal std"}
_NM: JsonDict = {"unit": "nm"}

_Plane = NDArray[np.float64]
_Shape = tuple[int, int]


class Artefacts(Parameters):
    """Noise and artefacts that a scan adds to the clean signal; all are off by default.

    The unit
    "signal std" is the standard deviation of the clean plane over the frame, so 0.5 means half as
    strong as the signal itself; a plane without signal stays without noise. Row 0 is scanned
    first, each row from its first pixel on; the retrace takes as long and is thrown away.
    """

    line_time_s: float = Field(default=1.0, gt=0, json_schema_extra={"unit": "s"})
    """Time of the forward pass along a row; a row takes twice as long in all."""
    noise: SignalStd = 0.0
    """Standard deviation of white noise."""
    flicker: SignalStd = 0.0
    """Standard deviation over the frame of 1/f noise, which runs on in time from row to row: power
    1/q along the fast axis, and slow wandering down the rows."""
    row_offsets: SignalStd = 0.0
    """Standard deviation of independent offsets of the rows."""
    mains: SignalStd = 0.0
    """Root mean square of the mains pickup, a sine in time."""
    mains_hz: float = Field(default=50.0, gt=0, json_schema_extra={"unit": "Hz"})
    """Nominal mains frequency; aliased when pixels are slower than half a period."""
    mains_wander_hz: float = Field(default=0.02, ge=0, json_schema_extra={"unit": "Hz"})
    """Standard deviation of the true mains frequency from frame to frame."""
    glitches: Share = 0.0
    """Share of pixels that are hit by a glitch."""
    glitch_height: SignalStd = 10.0
    """Standard deviation of what a glitch adds."""
    streaks: Count = 0
    """Number of tip-change streaks: parts of a row that are offset."""
    streak_height: SignalStd = 3.0
    """Standard deviation of the offset of a streak."""
    streak_nm: float = Field(default=5.0, gt=0, json_schema_extra={"unit": "nm"})
    """Mean length of a streak."""
    tip_changes: Count = 0
    """Number of lasting tip changes: from a random pixel on, another gain and offset."""
    tip_change_gain: NonNegative = 0.2
    """Standard deviation of the logarithm of the factor on the signal."""
    tip_change_offset: SignalStd = 1.0
    """Standard deviation of the offset that a tip change adds."""
    steps: Count = 0
    """Number of straight step edges at random places and angles."""
    step_height: SignalStd = 3.0
    """Difference between the two sides of a step edge, of random sign."""
    step_nm: float = Field(default=1.0, gt=0, json_schema_extra={"unit": "nm"})
    """Distance over which a step rises from 12 to 88 % of its height."""
    drift_x_nm_per_min: float = Field(default=0.0, json_schema_extra={"unit": "nm/min"})
    """Drift of the sample along the rows; positive moves later rows to the right."""
    drift_y_nm_per_min: float = Field(default=0.0, json_schema_extra={"unit": "nm/min"})
    """Drift of the sample down the rows; positive stretches the image."""
    missing_rows: float = Field(default=0.0, ge=0, lt=1)
    """Share of the rows that are missing at the end, as in an aborted scan."""
    lost_rows: float = Field(default=0.0, ge=0, lt=1)
    """Share of single rows that are missing anywhere."""

    @classmethod
    def typical(cls) -> Artefacts:
        """Return artefacts of an ordinary map: some of everything that needs no mask."""
        return cls(
            noise=0.3,
            flicker=0.2,
            row_offsets=0.2,
            mains=0.05,
            glitches=5e-4,
            streaks=2,
            drift_x_nm_per_min=0.05,
            drift_y_nm_per_min=0.05,
        )

    def drift(self, shape: tuple[int, int], *, pixel_nm: float) -> Drift:
        """Compute the drift of the sample during a scan of a frame.

        Parameters
        ----------
        shape : tuple of int
            Size of the frame (rows, columns).
        pixel_nm : float
            Pixel pitch.
        """
        return Drift(
            shape,
            velocity_px_per_s=(
                self.drift_y_nm_per_min / pixel_nm / 60,
                self.drift_x_nm_per_min / pixel_nm / 60,
            ),
            line_time_s=self.line_time_s,
        )


def apply_artefacts(
    clean: ArrayLike,
    artefacts: Artefacts,
    *,
    pixel_nm: float,
    seed: Seed,
    margin_px: int = 0,
) -> NDArray[np.float64]:
    """Add noise and artefacts to a clean map, as a microscope records it.

    Drift, steps, tip changes, streaks and missing rows are common to all planes; flicker, mains,
    row offsets, glitches and white noise are drawn for each. Each switch has its own random
    stream, so turning one on does not change the others.

    Parameters
    ----------
    clean : array, (rows, columns) or (..., rows, columns)
        The map, for example (bias, y, x), without NaN.
    artefacts : Artefacts
        What to add.
    pixel_nm : float
        Pixel pitch.
    seed : int or sequence of int
        Seed of all random streams.
    margin_px : int
        `clean` is larger than the frame by so many pixels on every side. Only drift looks beyond
        the frame; without the margin it finds the edge pixels repeated there.
        `Artefacts.drift(...).margin_px` is enough.

    Returns
    -------
    array
        Shape of `clean` without the margin. Missing rows are NaN.
    """
    wide = np.asarray(clean, dtype=np.float64)
    rows, columns = (size - 2 * margin_px for size in wide.shape[-2:])
    shape = rows, columns
    frame = wide[..., margin_px : margin_px + rows, margin_px : margin_px + columns]
    # Before drift, so that drift does not change the amount of noise.
    spread = frame.std(axis=(-2, -1)).ravel()
    out = frame.reshape(-1, *shape).copy()
    drift = artefacts.drift(shape, pixel_nm=pixel_nm)
    if drift.moves:
        for plane, source in zip(out, wide.reshape(-1, *wide.shape[-2:]), strict=True):
            plane[:] = drift.resample(source, margin_px)
    noises = _noises(artefacts, shape, seed)
    patterns = _patterns(artefacts, shape, pixel_nm, seed)
    if artefacts.tip_changes:
        gain, offset = scan_events.tip_changes(
            stream(seed, "tip changes"), shape, artefacts.tip_changes
        )
        out *= np.exp(artefacts.tip_change_gain * gain)
        patterns.append(artefacts.tip_change_offset * offset)
    for plane, scale in zip(out, spread, strict=True):
        for pattern in patterns:
            plane += scale * pattern
        for amplitude, draw in noises:
            plane += scale * amplitude * draw()
    if artefacts.lost_rows:
        out[:, stream(seed, "lost rows").random(rows) < artefacts.lost_rows] = np.nan
    out[:, rows - round(rows * artefacts.missing_rows) :] = np.nan
    return out.reshape(frame.shape)


def drifted(
    defects: Defects, artefacts: Artefacts, shape: tuple[int, int], *, pixel_nm: float
) -> Defects:
    """Move defects to where they appear in a scan with drift.

    Parameters
    ----------
    defects : Defects
        Where they truly are, at the time of the middle of the frame.
    artefacts : Artefacts
        Tells the drift.
    shape : tuple of int
        Size of the frame (rows, columns).
    pixel_nm : float
        Pixel pitch.

    Returns
    -------
    Defects
        The same defects, moved.
    """
    drift = artefacts.drift(shape, pixel_nm=pixel_nm)
    return defects.moved(drift.appear(defects.positions)) if drift.moves else defects


def _noises(
    artefacts: Artefacts, shape: _Shape, seed: Seed
) -> list[tuple[float, Callable[[], _Plane]]]:
    """List amplitude and draw of the next plane for each noise that is on."""
    mains = partial(
        scan_noise.mains_pickup,
        line_time_s=artefacts.line_time_s,
        frequency_hz=artefacts.mains_hz,
        wander_hz=artefacts.mains_wander_hz,
    )
    glitches = partial(scan_noise.glitches, share=artefacts.glitches)
    table: dict[str, tuple[float, Callable[[np.random.Generator, _Shape], _Plane]]] = {
        "noise": (artefacts.noise, scan_noise.white_noise),
        "flicker": (artefacts.flicker, scan_noise.flicker_noise),
        "row offsets": (artefacts.row_offsets, scan_noise.row_offsets),
        "mains": (artefacts.mains, mains),
        "glitches": (artefacts.glitch_height * (artefacts.glitches > 0), glitches),
    }
    return [
        (amplitude, partial(draw, stream(seed, name), shape))
        for name, (amplitude, draw) in table.items()
        if amplitude > 0
    ]


def _patterns(artefacts: Artefacts, shape: _Shape, pixel_nm: float, seed: Seed) -> list[_Plane]:
    """Draw the patterns common to all planes, in units of their spread."""
    patterns = []
    if artefacts.steps:
        steps = scan_events.step_edges(
            stream(seed, "steps"), shape, artefacts.steps, artefacts.step_nm / pixel_nm
        )
        patterns.append(artefacts.step_height * steps)
    if artefacts.streaks:
        streaks = scan_events.streaks(
            stream(seed, "streaks"), shape, artefacts.streaks, artefacts.streak_nm / pixel_nm
        )
        patterns.append(artefacts.streak_height * streaks)
    return patterns
