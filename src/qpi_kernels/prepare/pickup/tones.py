"""Tones of pickup: plane waves of one phase over the whole map, found and fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.prepare.geometry.frame import pitch
from qpi_kernels.prepare.lattice.bragg_peaks import bragg_peaks_of
from qpi_kernels.prepare.lattice.plane_waves import fitted_waves, refined_waves, without_waves
from qpi_kernels.prepare.lattice.spectrum import Spectrum
from qpi_kernels.prepare.prepared import PreparationError, label_image
from qpi_kernels.prepare.reference_plane import mean_plane

__all__ = ["Pickup", "find_pickup", "frequencies_hz", "lattice_waves", "tones_of"]

_ROUNDS = 3
_HARMONICS = 5
# A harmonic is where its tone says, so less prominence is proof.
_HARMONIC_SHARE = 0.5
# What a fitted tone may leave of its peak; a lattice with drift or a ring leaves more.
_SHARPNESS = 0.25
# Samples of the Fourier transform by which a wave may miss a Bragg peak.
_BRAGG_REACH = 2.5
_BRAGG_ORDERS = 2
# Higher orders than the second are weak.
_BRAGG_LENGTHS = 2.1


@dataclass(frozen=True, eq=False)
class Pickup:
    """Tones of pickup, the strongest first.

    Parameters
    ----------
    waves : array, (N, 2)
        Wave vectors (row, col) in rad per `unit`, 2 pi / wavelength.
    waves_px : array, (N, 2)
        The same in rad/px.
    amplitude : array, (N,)
        In units of the image.
    frequency_hz : array, (N,), or None
        Where the scan speed is known; that of the sampled wave, from which the tone's own may
        differ by multiples of the pixel rate.
    unit : str
        ``nm``, or ``px`` where the pitch is not known.
    """

    waves: NDArray[np.float64]
    waves_px: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    frequency_hz: NDArray[np.float64] | None
    unit: str


def find_pickup(
    image: ArrayLike | xr.DataArray,
    *,
    mask: ArrayLike | None = None,
    prominence: float = 10.0,
    max_tones: int = 12,
) -> Pickup:
    """Find tones of pickup: single sharp peaks of the spectrum, neither a lattice nor a ring.

    Parameters
    ----------
    image : array or xarray.DataArray
        ``(y, x)``, or ``(bias, y, x)`` of which the mean is searched. The scan speed is read from
        ``attrs["scan_speed_nm_s"]``.
    mask : array of bool, (y, x), optional
        True where a pixel counts.
    prominence : float
        Least amplitude of a peak over its background.
    max_tones : int
        Largest number of tones.

    Returns
    -------
    Pickup
        Without tones if there are none.
    """
    labelled = label_image(image)
    plane = mean_plane(labelled)
    if mask is not None:
        plane = np.where(np.asarray(mask, bool), plane, np.nan)
    height, width, unit = pitch(labelled)
    waves, amplitude = tones_of(plane, prominence, max_tones)
    return Pickup(
        waves / np.array([height, width]),
        waves,
        amplitude,
        frequencies_hz(labelled, waves[:, 1]),
        unit,
    )


def frequencies_hz(
    image: xr.DataArray, along_rows: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Convert wave numbers along the rows in rad/px to Hz; None where no scan speed is known."""
    speed = image.attrs.get("scan_speed_nm_s")
    _, width, unit = pitch(image)
    if speed is None or unit != "nm":
        return None
    return np.abs(along_rows) / width * abs(float(speed)) / (2 * np.pi)


def tones_of(
    plane: NDArray[np.float64], prominence: float, max_tones: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find tones of a plane with NaN where nothing counts.

    Returns
    -------
    array, (N, 2)
        Wave vectors (row, col) in rad/px.
    array, (N,)
        Amplitudes.
    """
    spectrum = rest = Spectrum.of(plane)
    lattice = lattice_waves(plane)
    refused = tones = np.empty((0, 2))
    for _ in range(_ROUNDS):
        found = _new_tones(rest, tones, np.concatenate([lattice, refused]), prominence)
        found = found[: max_tones - len(tones)]
        if not len(found):
            break
        both = np.concatenate([tones, found])
        both, rest = _subtracted(spectrum, both)
        # One plane wave must be all of a peak.
        sharp = [rest.top(wave) < _SHARPNESS * spectrum.top(wave) for wave in both]
        if not all(sharp):
            refused = np.concatenate([refused, both[np.logical_not(sharp)]])
            both, rest = _subtracted(spectrum, both[sharp])
        tones = both
    if not len(tones):
        return tones, np.empty(0)
    amplitude = np.abs(fitted_waves(spectrum.plane, spectrum.counted, tones))
    order = np.argsort(-amplitude, kind="stable")
    return tones[order], amplitude[order]


def _subtracted(
    spectrum: Spectrum, waves: NDArray[np.float64]
) -> tuple[NDArray[np.float64], Spectrum]:
    """Refine plane waves; return them and the spectrum without them."""
    refined = refined_waves(spectrum.plane, spectrum.counted, waves)
    rest = without_waves(spectrum.plane, spectrum.counted, refined)
    return refined, Spectrum(rest, spectrum.counted)


def _new_tones(
    spectrum: Spectrum,
    known: NDArray[np.float64],
    refused: NDArray[np.float64],
    prominence: float,
) -> NDArray[np.float64]:
    """Return peaks that may be tones, or harmonics of known ones."""
    peaks = spectrum.peaks(_HARMONIC_SHARE * prominence)
    step = 2 * np.pi / np.array(spectrum.plane.shape)
    new: list[NDArray[np.float64]] = []
    for wave, ratio in zip(peaks.waves, peaks.prominence, strict=True):
        if ratio < prominence and not _is_harmonic(wave, [*known, *new], step):
            continue
        if _next_to(wave, refused, _BRAGG_REACH * step) or _next_to(wave, known, 2 * step):
            continue
        new.append(wave)
    return np.array(new).reshape(-1, 2)


def _is_harmonic(
    wave: NDArray[np.float64], tones: Sequence[NDArray[np.float64]], step: NDArray[np.float64]
) -> bool:
    """Return whether a wave is sampled as a multiple of a tone."""
    for tone in tones:
        multiples = np.arange(2, _HARMONICS + 1)[:, None] * tone
        if _next_to(wave, multiples, 1.5 * step):
            return True
    return False


def _next_to(
    wave: NDArray[np.float64], others: NDArray[np.float64], reach: NDArray[np.float64]
) -> bool:
    """Return whether a wave is sampled as one of others, or its negative."""
    if not len(others):
        return False
    both = np.concatenate([others, -others])
    away = (wave - both + np.pi) % (2 * np.pi) - np.pi
    return bool((np.abs(away) <= reach).all(axis=1).any())


def lattice_waves(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Bragg vectors of first and second order in rad/px; none without a lattice."""
    try:
        first, second = bragg_peaks_of(plane, (1.0, 1.0), "px").vectors_px[:2]
    except PreparationError:
        return np.empty((0, 2))
    step = 2 * np.pi / np.array(plane.shape)
    if _is_harmonic(first, [second], step) or _is_harmonic(second, [first], step):
        return np.empty((0, 2))
    orders = np.arange(-_BRAGG_ORDERS, _BRAGG_ORDERS + 1)
    pairs = np.stack(np.meshgrid(orders, orders), axis=-1).reshape(-1, 2)
    vectors = pairs[pairs.any(axis=1)] @ np.stack([first, second])
    near = np.linalg.norm(vectors, axis=1) < _BRAGG_LENGTHS * np.linalg.norm(first)
    return np.asarray(vectors[near])
