"""Simulated marks of a user: clicks near the defects, some missed, some spurious."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from qpi_kernels.defects import DEFAULT_KIND, Defects
from qpi_kernels.parameters import NonNegative, Parameters, Pixels, Share
from qpi_kernels.simulate.maps.streams import Seed, stream

__all__ = ["Annotation", "annotate"]


class Annotation(Parameters):
    """Care with which defects are marked; perfect by default."""

    jitter_px: Pixels = Field(default=0.0, ge=0)
    """Standard deviation of a click's row and of its column."""
    missed: Share = 0.0
    """Share of the visible defects that is not marked."""
    spurious: NonNegative = 0.0
    """Mean number of clicks at random places, per visible defect."""


def annotate(
    defects: Defects, shape: tuple[int, int], annotation: Annotation, seed: Seed
) -> Defects:
    """Mark defects as the user would, in the image only.

    Parameters
    ----------
    defects : Defects
        The truth as it appears in the image: with drift, after `drifted`.
    shape : tuple of int
        Image size (rows, columns).
    annotation : Annotation
        How well they are marked.
    seed : int or sequence of int
        Seed of the draw. Jitter, missed and spurious clicks come from independent streams.

    Returns
    -------
    Defects
        All clicks lie in the image and have unit strength, for strengths can not be seen. First
        the true defects in their order and with their kinds, then the spurious ones, each of a
        random visible defect's kind.
    """
    low, high = np.full(2, -0.5), np.array(shape) - 0.5
    visible = ((defects.positions >= low) & (defects.positions <= high)).all(axis=1)
    marked = visible & (stream(seed, "missed").random(len(defects)) >= annotation.missed)
    jitter = stream(seed, "jitter").standard_normal(defects.positions.shape)
    clicks = defects.positions + annotation.jitter_px * jitter
    rng = stream(seed, "spurious")
    number = rng.poisson(annotation.spurious * visible.sum())
    wrong = rng.uniform(low, high, (number, 2))
    kind = defects.kind[visible] if visible.any() else np.array([DEFAULT_KIND])
    return Defects(
        np.concatenate([clicks[marked].clip(low, high), wrong]),
        np.concatenate([defects.kind[marked], rng.choice(kind, number)]),
    )
