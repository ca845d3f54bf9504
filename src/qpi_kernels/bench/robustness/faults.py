"""Maps with one fault each, and which fault the checks of the residual tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import scipy.ndimage
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.bench.robustness.maps import STRONG, RobustnessMap, coupled_map
from qpi_kernels.defects import Defects
from qpi_kernels.extraction.extract import extract
from qpi_kernels.quality import Trust
from qpi_kernels.simulate.kernel_sampler import KernelSampler
from qpi_kernels.simulate.maps.observation import observe
from qpi_kernels.simulate.maps.placement import scatter_defects
from qpi_kernels.simulate.maps.scan_noise import flicker_noise

__all__ = ["FAULTS", "FaultFinding", "confusion", "fault_map", "find_fault"]

Image = NDArray[np.float64]

FAULTS = {
    "nothing wrong": "",
    "marks off by 0.7 px": "marks_displaced",
    "a quarter of the marks empty": "marks_empty",
    "a fifth of the defects unmarked": "unmarked_defects",
    "second kind, same label": "second_kind",
    "tip change": "tip_change",
    "marks of a map without drift": "drift",
    "drift that slows down": "drift_within",
    "multiple scattering": "multiple_scattering",
}
"""Faults, and the code of the reason that tells each."""

_SIDE, _WINDOW, _DEFECTS, _MARGIN = 128, 32, 24, 24
_TAPER_PX = 3
_COUPLED = (20, 40, 60)
_OTHER_CODES = frozenset(FAULTS.values()) | {"strengths_differ"}


@dataclass(frozen=True)
class FaultFinding:
    """Answer of bayes for a map with a fault.

    Parameters
    ----------
    told : str
        Code of the reason that the checks of the residual give; empty without one.
    coverage : float
        Share of the kernel's pixels within 1.96 standard deviations of the truth.
    trust : str
        `Quality.trust`.
    """

    told: str
    coverage: float
    trust: Trust


def confusion(findings: Iterable[FaultFinding]) -> Counter[str]:
    """Count what was told of some maps."""
    return Counter(one.told for one in findings)


def find_fault(fault: str, seed: int, *, snr: float, noise: str = "white") -> FaultFinding:
    """Extract from a map with a fault and read the reasons.

    Parameters
    ----------
    fault, seed, snr, noise
        As of `fault_map`.
    """
    found = fault_map(fault, seed, snr=snr, noise=noise)
    result = extract(
        found.observation.astype(np.float32), found.marked, kernel_shape=found.kernel.shape
    )
    told = [reason.code for reason in result.quality.reasons if reason.code in _OTHER_CODES]
    within = np.abs(result.kernel.values - found.kernel) < 1.959964 * result.std.values
    return FaultFinding(told[0] if told else "", float(within.mean()), result.quality.trust)


def fault_map(fault: str, seed: int, *, snr: float, noise: str = "white") -> RobustnessMap:
    """Simulate a map with a fault.

    Kernels of all simulated families, faded to zero before the window's edge, 24 defects in
    128 x 128 pixels; multiple scattering is of Ag(111), 20 to 60 strong defects.

    Parameters
    ----------
    fault : str
        One of `FAULTS`.
    seed : int
        Of everything.
    snr : float
        Variance of the defects' pattern over that of the noise.
    noise : str
        ``white``, ``flicker`` (1/f along the scan, half of it white), ``smooth`` (the same over
        pixels that move together) or ``rows`` (a fifth of it offsets of rows).
    """
    if fault == "multiple scattering":
        count = _COUPLED[seed % len(_COUPLED)]
        made = coupled_map(seed, snr=1e12, count=count, impurity=STRONG)
        return _noisy(made.observation, made.marked.positions, made.kernel, seed, snr, noise)
    random = np.random.default_rng([seed, 11])
    sampler = KernelSampler(shape=(_WINDOW, _WINDOW), seed=4711)
    kernel, other = (_faded(sampler.kernel(2 * seed + one)) for one in (0, 1))
    true = scatter_defects(_DEFECTS, (_SIDE, _SIDE), [seed, 10], min_distance_px=3).positions
    marks, pattern = true, _summed(kernel, true)
    if fault == "marks off by 0.7 px":
        marks = true + random.normal(0, 0.7, true.shape)
    elif fault == "a quarter of the marks empty":
        marks = np.concatenate([true, random.uniform(0, _SIDE - 1, (_DEFECTS // 3, 2))])
    elif fault == "a fifth of the defects unmarked":
        marks = true[_DEFECTS // 5 :]
    elif fault == "second kind, same label":
        first = _DEFECTS // (2 + 2 * (seed % 2))
        pattern = _summed(kernel, true[first:]) + _summed(other, true[:first])
    elif fault == "tip change":
        pattern = _with_tip_change(pattern, seed, random)
    elif fault == "marks of a map without drift":
        marks = true - _displacement(true[:, 0], 2.5, seed, random)
    elif fault == "drift that slows down":
        pattern, marks = _drifted(kernel, true, seed, random)
    elif fault != "nothing wrong":
        raise ValueError(f"no fault is named {fault!r}; take one of {', '.join(FAULTS)}")
    return _noisy(pattern, marks, kernel.values, seed, snr, noise)


def _faded(kernel: xr.DataArray) -> xr.DataArray:
    """Let a kernel end within its window, its rms 1."""
    away = np.abs(np.arange(_WINDOW) - _WINDOW // 2)
    fade = np.clip((_WINDOW / 2 - 0.5 - away) / _TAPER_PX, 0, 1)
    faded = kernel * fade[:, None] * fade
    return faded / float(np.sqrt(np.square(faded).mean()))


def _summed(kernel: xr.DataArray, positions: Image, margin: int = 0) -> Image:
    """Sum a kernel at positions, with so many pixels around the map."""
    side = _SIDE + 2 * margin
    return np.asarray(observe(kernel, Defects(positions + margin), (side, side)).values)


def _with_tip_change(pattern: Image, seed: int, random: np.random.Generator) -> Image:
    """Change contrast, sharpness, or the tip's shape (a second apex) from a row on."""
    row = int(random.uniform(0.25, 0.75) * _SIDE)
    if seed % 3 == 0:
        later = random.choice([0.7, 1.35]) * pattern
    elif seed % 3 == 1:
        later = scipy.ndimage.gaussian_filter(pattern, 1.2)
    else:
        apart = random.uniform(2, 4, 2) * random.choice([-1, 1], 2)
        later = 0.7 * pattern + 0.3 * scipy.ndimage.shift(pattern, apart, mode="nearest")
    return np.concatenate([pattern[:row], later[row:]])


def _displacement(row: Image, size_px: float, seed: int, random: np.random.Generator) -> Image:
    """Draw a displacement along the slow axis, linear in time or dying away, (..., 2)."""
    time = row / _SIDE
    grown = time - 0.5 if seed % 2 else np.exp(-4 * time) - np.exp(-2.0)
    angle = random.uniform(0, 2 * np.pi)
    return np.asarray(np.multiply.outer(size_px * grown, [np.sin(angle), np.cos(angle)]))


def _drifted(
    kernel: xr.DataArray, true: Image, seed: int, random: np.random.Generator
) -> tuple[Image, Image]:
    """Shear a map by a drift that dies away, and find where its defects appear."""
    rows = np.arange(_SIDE, dtype=float)
    moved = _displacement(rows, 10.0 * random.choice([-1, 1]), 2 * seed, random)
    wide = _summed(kernel, true, _MARGIN)
    grid = np.indices((_SIDE, _SIDE)).astype(float) + _MARGIN
    pattern = scipy.ndimage.map_coordinates(wide, grid + moved.T[:, :, None], order=5)
    seen = true
    for _ in range(60):
        seen = true - np.stack([np.interp(seen[:, 0], rows, one) for one in moved.T], axis=1)
    return np.asarray(pattern), seen


def _noisy(
    pattern: Image, marks: Image, kernel: Image, seed: int, snr: float, noise: str
) -> RobustnessMap:
    """Add noise by the pattern's size."""
    random = np.random.default_rng([seed, 12])
    grain = random.standard_normal(pattern.shape)
    if noise == "flicker":
        grain = grain + flicker_noise(random, pattern.shape)
    elif noise == "smooth":
        smooth = scipy.ndimage.gaussian_filter(random.standard_normal(pattern.shape), 1.5)
        grain = grain + smooth / smooth.std()
    elif noise == "rows":
        grain = grain + 0.5 * random.standard_normal((len(pattern), 1))
    grain *= pattern.std() / np.sqrt(snr) / grain.std()
    counted = np.ones(pattern.shape, bool)
    return RobustnessMap(pattern + grain, kernel, Defects(marks), counted, 0.0)
