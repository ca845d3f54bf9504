"""The steps of `prepare`, with their defaults, and what plain numpy offers."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from qpi_kernels import prepare
from qpi_kernels.bench.peers import Array, Way
from qpi_kernels.bench.prepare.problems import Task
from qpi_kernels.prepare.step import Step

__all__ = ["OWN", "own_ways", "plain_ways"]

OWN = "napari-qpi"
_NOTCH_PX = 3


def own_ways() -> list[Way]:
    """List the steps that do each task here, without a parameter."""

    def values(task: Task, *steps: Step) -> Way:
        names = ", ".join(type(step).__name__ for step in steps)
        return Way(OWN, names, task, lambda raw: prepare.run(raw, steps).image.values)

    def displacement(raw: Array) -> Array:
        made = prepare.run(raw, [prepare.CorrectDrift()])
        return np.asarray(made.report["correct_drift"]["displacement_px"])

    return [
        Way(OWN, "CorrectDrift", "drift", displacement),
        values("rows", prepare.AlignRows()),
        values("step", prepare.MaskSteps(), prepare.AlignRows(), prepare.Level()),
        values("step", prepare.MaskSteps(), prepare.Level()),
        values("tone", prepare.RemovePickup()),
    ]


def plain_ways() -> list[Way]:
    """List what takes a line or two of numpy."""
    tool = "numpy"
    return [
        Way(tool, "nothing", "drift", lambda raw: np.zeros((2, *raw.shape))),
        Way(tool, "row medians", "rows", _without_medians),
        Way(tool, "row means", "rows", lambda raw: raw - raw.mean(axis=1, keepdims=True)),
        Way(tool, "plane by least squares", "step", without_plane),
        Way(tool, "row medians, then plane", "step", lambda z: without_plane(_without_medians(z))),
        Way(tool, f"notch of {_NOTCH_PX} px", "tone", _notched),
    ]


def _without_medians(raw: Array) -> Array:
    return np.asarray(raw - np.median(raw, axis=1, keepdims=True))


def without_plane(raw: Array) -> Array:
    """Subtract the plane of least squares."""
    y, x = (axis.ravel() for axis in np.indices(raw.shape))
    design = np.stack([np.ones(y.size), y, x], axis=1)
    plane = design @ np.linalg.lstsq(design, raw.ravel(), rcond=None)[0]
    return np.asarray(raw - plane.reshape(raw.shape))


def _notched(raw: Array) -> Array:
    """Clear the Fourier transform around its sharpest peak and the opposite one."""
    transform = np.fft.fftshift(np.fft.fft2(raw - raw.mean()))
    size = np.abs(transform)
    peak = np.array(np.unravel_index(np.argmax(size / ndimage.median_filter(size, 9)), size.shape))
    y, x = np.indices(size.shape)
    for row, column in (peak, 2 * (np.array(size.shape) // 2) - peak):
        transform[np.hypot(y - row, x - column) <= _NOTCH_PX] = 0
    return np.asarray(np.fft.ifft2(np.fft.ifftshift(transform)).real + raw.mean())
