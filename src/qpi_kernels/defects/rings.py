"""Centres of concentric rings: scatterers that are seen by their waves, whatever their core."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.defects.blobs import masked_mean, refined_peaks

__all__ = ["Rings", "find_rings", "height_over_waves"]

_SHORTEST_PX = 5.0
# Least size of a map, in wavelengths.
_MIN_ACROSS = 8.0
# Least excess of the spectrum over its power law where a map has waves, in log units.
_MIN_EXCESS = 1.0
# Radii of the rings that are compared, in wavelengths: outside the core, within its reach.
_FIRST, _LAST = 1.0, 4.5
_FALL = 0.75
_SPECTRAL_SMOOTHING = 2.0
# Radii of the waves around a spot, in wavelengths.
_AROUND = (0.75, 2.0)
_SECTORS, _MIN_SECTORS, _RAYS = 16, 6, 4
_MIN_SHARE = 0.4
_MIN_COHERENCE = 0.7
_STRENGTH_WAVELENGTHS = 0.5
_STRONGEST = 400


@dataclass(frozen=True)
class Rings:
    """Centres of rings of one wavelength, strongest first, and the map of their score."""

    wavelength: float
    positions: NDArray[np.float64]
    score: NDArray[np.float64]
    score_map: NDArray[np.float64]

    def scores_near(self, positions: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
        """Return the highest score within a radius, in px, of each position."""
        from scipy import ndimage

        highest = ndimage.maximum_filter(self.score_map, 2 * max(1, round(radius)) + 1)
        nearest = np.clip(np.rint(positions).astype(np.intp), 0, np.array(highest.shape) - 1)
        return np.asarray(highest[tuple(nearest.T)])


def find_rings(
    flat: NDArray[np.float64], valid: NDArray[np.bool_], *, threshold: float
) -> Rings | None:
    """Find the centres of concentric rings.

    Parameters
    ----------
    flat, valid : array, (y, x)
        The plane without its background, and where it counts.
    threshold : float
        Least score: correlation with rings of any phase, over its robust standard deviation.

    Returns
    -------
    Rings or None
        None where the map has no waves of one length.

    Notes
    -----
    The wavelength is that of the radial spectrum. Waves are first divided by their local strength,
    so that faint scatterers count as much as strong ones. A centre must send waves of the same
    phase in all directions that were measured, which tells it from waves that pass by (compare
    the phase-coded circular Hough transform: T. J. Atherton and D. J. Kerbyson, Image Vis. Comput.
    17, 795 (1999)).
    """
    from skimage.feature import peak_local_max

    wavelength = _wavelength(flat, valid)
    if wavelength is None or _MIN_ACROSS * wavelength > min(flat.shape):
        return None
    waves = _waves(flat, valid, wavelength)
    amplitude, share = _amplitude(waves, valid, wavelength)
    known = share >= _MIN_SHARE
    if not (known & valid).any():
        return None
    # The median of a Rayleigh distribution is 1.177 of its standard deviations.
    scale = float(np.median(amplitude[known & valid])) / 1.1774
    score = np.where(known, amplitude / (scale or 1.0), 0.0)
    peaks = peak_local_max(  # type: ignore[no-untyped-call]
        score,
        min_distance=max(1, round(wavelength / 2)),
        threshold_abs=threshold,
        exclude_border=False,
    ).reshape(-1, 2)[:_STRONGEST]
    offset, _ = refined_peaks(score, peaks, max(1, round(wavelength / 8)))
    positions = peaks + offset
    coherent = _coherence(waves, valid, positions, wavelength) >= _MIN_COHERENCE
    kept: list[int] = []
    for index in np.flatnonzero(coherent):
        away = np.hypot(*(positions[kept] - positions[index]).T)
        if not (away < wavelength).any():
            kept.append(int(index))
    return Rings(wavelength, positions[kept], score[tuple(peaks[kept].T)], score)


def height_over_waves(
    flat: NDArray[np.float64],
    valid: NDArray[np.bool_],
    positions: NDArray[np.float64],
    wavelength: float,
) -> NDArray[np.float64]:
    """Compare the height of spots with the waves around them, in robust standard deviations.

    Where two waves cross, the height is hardly more than twice that of the waves.
    """
    from scipy import ndimage

    centre = _band(flat, valid, wavelength)
    centre[masked_mean(flat, valid, wavelength / 8)[1] < _MIN_SHARE] = np.nan
    where = _circles(positions, np.arange(*_AROUND, 0.25) * wavelength)
    around = ndimage.map_coordinates(centre, where, order=1, cval=np.nan, mode="constant")
    heights = ndimage.map_coordinates(centre, positions.T, order=1, mode="nearest")
    result = np.full(len(positions), np.inf)
    for index, (height, values) in enumerate(zip(heights, around, strict=True)):
        known = values[np.isfinite(values)]
        if known.size and np.isfinite(height):
            middle = np.median(known)
            spread = 1.4826 * np.median(np.abs(known - middle))
            result[index] = abs(height - middle) / max(spread, 1e-300)
    return result


def _wavelength(flat: NDArray[np.float64], valid: NDArray[np.bool_]) -> float | None:
    """Estimate the distance of rings, px, where the radial spectrum exceeds its power law most.

    The median over all directions leaves what is isotropic: rings, but neither lattices nor rows.
    """
    from scipy import fft, ndimage

    waves = _waves(flat, valid, 2.5 * _SHORTEST_PX)
    power = np.abs(fft.rfft2(waves)) ** 2
    rows, cols = fft.fftfreq(flat.shape[0])[:, None], fft.rfftfreq(flat.shape[1])[None, :]
    side = min(flat.shape)
    # Bins of one frequency step of the shorter side.
    ring = np.rint(np.hypot(rows, cols) * side).astype(np.intp)
    inner = (np.abs(rows) > 2.5 / flat.shape[0]) & (np.abs(cols) > 2.5 / flat.shape[1])
    bins = np.arange(max(4, side // 50), int(side / _SHORTEST_PX) + 1)
    if len(bins) < 10:
        return None
    radial = ndimage.median(power, np.where(inner, ring, 0), bins)
    radial = ndimage.gaussian_filter1d(radial, _SPECTRAL_SMOOTHING, mode="nearest")
    if not (radial > 0).all():
        return None
    power_law = np.polynomial.Polynomial.fit(np.log(bins), np.log(radial), 1)
    excess = np.log(radial) - power_law(np.log(bins))
    best = int(excess.argmax())
    if excess[best] < _MIN_EXCESS:
        return None
    offset = 0.0
    if 0 < best < len(bins) - 1:
        before, top, after = excess[best - 1 : best + 2]
        offset = 0.5 * (before - after) / (before - 2 * top + after)
    return float(side / (bins[best] + offset))


def _band(
    flat: NDArray[np.float64], valid: NDArray[np.bool_], wavelength: float
) -> NDArray[np.float64]:
    """Smooth away what is much shorter than a wavelength, and subtract what is longer."""
    short, long = (masked_mean(flat, valid, wavelength / part)[0] for part in (8, 2.5))
    return short - long


def _waves(
    flat: NDArray[np.float64], valid: NDArray[np.bool_], wavelength: float
) -> NDArray[np.float64]:
    """Keep the waves of about one length, divided by their local strength."""
    waves = _band(flat, valid, wavelength)
    power = masked_mean(waves**2, valid, _STRENGTH_WAVELENGTHS * wavelength)[0]
    floor = np.median(power[valid]) or 1.0
    return np.asarray(np.where(valid, waves / np.sqrt(power + floor), 0.0))


def _amplitude(
    waves: NDArray[np.float64], valid: NDArray[np.bool_], wavelength: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Correlate with rings around each pixel: amplitude of any phase, and the share measured.

    Under white noise the amplitude has the same variance however much is masked.
    """
    from scipy import fft

    reach = int(np.ceil(_LAST * wavelength))
    steps = np.arange(-reach, reach + 1.0)
    radius = np.hypot(steps[:, None], steps[None, :])
    weight = _radial_weight(radius, wavelength)
    template = weight * np.exp(-2j * np.pi * radius / wavelength)
    shape = [fft.next_fast_len(side + 2 * reach) for side in waves.shape]
    inner = tuple(slice(reach, reach + side) for side in waves.shape)
    correlation = fft.ifft2(fft.fft2(waves, shape) * fft.fft2(template, shape))[inner]
    measured = fft.irfft2(
        fft.rfft2(valid.astype(np.float64), shape) * fft.rfft2(weight**2, shape), shape
    )[inner]
    whole = float((weight**2).sum())
    return np.abs(correlation) / np.sqrt(np.maximum(measured, 1e-3 * whole)), measured / whole


def _radial_weight(radius: NDArray[np.float64], wavelength: float) -> NDArray[np.float64]:
    """Weigh rings by their expected strength, between the first and the last radius."""
    inside = (radius >= _FIRST * wavelength) & (radius <= _LAST * wavelength)
    return np.where(inside, np.maximum(radius / wavelength, _FIRST) ** -_FALL, 0.0)


def _coherence(
    waves: NDArray[np.float64],
    valid: NDArray[np.bool_],
    centres: NDArray[np.float64],
    wavelength: float,
) -> NDArray[np.float64]:
    """Compare the median over all directions of the part in phase with the mean amplitude."""
    from scipy import ndimage

    radius = np.arange(_FIRST * wavelength, _LAST * wavelength, max(1.0, wavelength / 8))
    where = _circles(centres, radius)
    counted = ndimage.map_coordinates(valid.astype(np.float64), where, order=1, mode="constant")
    values = ndimage.map_coordinates(waves, where, order=1, mode="constant")
    arc = radius * _radial_weight(radius, wavelength)
    weight = arc[:, None] * (counted > 0.99)
    ring = np.exp(-2j * np.pi * radius / wavelength)[:, None]
    split = (len(centres), _SECTORS, _RAYS)
    measured = weight.sum(1).reshape(split).sum(2)
    amplitude = (weight * values * ring).sum(1).reshape(split).sum(2)
    seen = measured > _MIN_SHARE * _RAYS * arc.sum()
    result = np.full(len(centres), -1.0)
    for index in np.flatnonzero(seen.sum(1) >= _MIN_SECTORS):
        sectors = amplitude[index, seen[index]] / measured[index, seen[index]]
        phase = np.angle(amplitude[index, seen[index]].sum())
        result[index] = np.median((sectors * np.exp(-1j * phase)).real) / np.abs(sectors).mean()
    return result


def _circles(
    centres: NDArray[np.float64], radius: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Return rows and columns of points on circles, (centre, radius, direction)."""
    angle = np.arange(_RAYS * _SECTORS) * (2 * np.pi / (_RAYS * _SECTORS))
    return [
        centres[:, 0, None, None] + radius[:, None] * np.sin(angle),
        centres[:, 1, None, None] + radius[:, None] * np.cos(angle),
    ]
