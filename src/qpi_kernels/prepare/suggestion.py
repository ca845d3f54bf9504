"""Suggestions: which steps a raw image needs, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from qpi_kernels.defects import Defects
from qpi_kernels.prepare.lattice.bragg_peaks import BraggPeaks, find_bragg_peaks
from qpi_kernels.prepare.prepared import PreparationError, Prepared
from qpi_kernels.prepare.registry import known_steps
from qpi_kernels.prepare.step import Step

__all__ = ["Suggestion", "suggest"]

# A tilt is worth a step if it is this share of what is left, and dominates from so many times on.
_TELLING_TILT, _DOMINANT_TILT = 0.3, 4.0
# Rows are worth aligning if they differ by so many times what noise makes of their means.
_TELLING_ROWS = 3.0
# Edges that mask less of the image are chance; without a second terrace it must be more.
_MIN_MASKED, _MIN_MASKED_ALONE = 0.005, 0.03
# Smaller regions than this share of the image are no terraces.
_MIN_TERRACE = 0.02
# Atomic rows within so many periods per row of the scan lines' direction look like row offsets.
_ROW_PERIODS = 2.0
_PICOMETRES = 1000.0


@dataclass(frozen=True)
class Suggestion:
    """Steps for one image, each with its reason.

    Parameters
    ----------
    steps : tuple of Step
        For `qpi_kernels.prepare.run`; empty where nothing is to be done.
    reasons : tuple of str
        A sentence for each step.
    needed : bool
        True where steps, rows or tilt dominate the image, so that an extraction from the raw one
        would show them.
    """

    steps: tuple[Step, ...]
    reasons: tuple[str, ...]
    needed: bool

    def __str__(self) -> str:
        pairs = zip(self.steps, self.reasons, strict=True)
        return "\n".join(f"{step.name().replace('_', ' ')}: {reason}" for step, reason in pairs)


def suggest(
    image: ArrayLike | xr.DataArray | Prepared,
    *,
    mask: ArrayLike | None = None,
    defects: Defects | ArrayLike | None = None,
    channels: Mapping[str, ArrayLike | xr.DataArray] | None = None,
) -> Suggestion:
    """Propose the steps that an image needs.

    Each candidate is tried on the image as the steps before leave it, and kept if it finds
    something: an edge, rows that jump by more than chance, a tilt, streaks, bad pixels, a tone, an
    atomic lattice.

    Parameters
    ----------
    image, mask, defects, channels
        As for `qpi_kernels.prepare.run`.

    Returns
    -------
    Suggestion

    Raises
    ------
    PreparationError
        If the image has not one pixel that counts.

    Examples
    --------
    >>> import numpy as np
    >>> from qpi_kernels import prepare
    >>> tilted = np.add.outer(np.arange(64.0), np.random.default_rng(0).normal(size=64))
    >>> [step.name() for step in prepare.suggest(tilted).steps]
    ['level']
    """
    if not isinstance(image, Prepared):
        image = Prepared.start(image, mask, defects, channels)
    return _Trial(image).suggestion()


class _Trial:
    """Candidates tried one after the other."""

    def __init__(self, scan: Prepared) -> None:
        self._raw = scan
        self._scan = scan
        self._kept: list[tuple[Step, str]] = []
        self._needed = False
        units = str(scan.image.attrs.get("units", ""))
        self._quantity = scan.image.attrs.get("quantity") or "other"
        lengths = self._quantity == "other" and units in ("nm", "pm", "m")
        self._height = self._quantity == "topography" or lengths
        self._unit = units or "(data units)"
        self._lattice = self._find_lattice()

    def suggestion(self) -> Suggestion:
        """Try all candidates in the order in which they are run."""
        if self._scan.image.ndim == 2:
            self._try_scan_lines()
        for name, words in (
            ("mask_streaks", "streaks of the tip cover {:.2g} % of the pixels"),
            ("mask_pixels", "single bad pixels, {:.2g} %"),
        ):
            if self._scan.image.ndim == 3:
                continue  # a grid has no scan lines, and its defects may be single pixels
            share = 100.0 * self._masked(tried := self._tried(name))
            if tried is not None and share > 0:
                self._keep(tried, words.format(share))
        self._try_pickup()
        self._try_level_of_spectra()
        self._try_lattice()
        steps, reasons = zip(*self._kept, strict=True) if self._kept else ((), ())
        return Suggestion(tuple(steps), tuple(reasons), self._needed)

    def _try_scan_lines(self) -> None:
        """Try what a topograph or a current image at constant height needs."""
        if not (self._height or self._quantity in ("other", "current")):
            return
        rest = self._rest()
        # At constant height no feedback gives rows their offsets.
        fed_back = self._quantity != "current" and not self._follows_rows()
        tried = self._tried("align_rows") if fed_back else None
        if tried is not None:
            offset = float(_number(_last(tried[1]), "offset_rms"))
            if offset > _TELLING_ROWS * self._row_chance(tried[1]):
                self._keep(tried, f"rows jump by {self._amount(offset)} (rms)")
                self._needed |= offset > rest
        if self._quantity != "current":
            tried = self._tried("mask_steps")
            found = {} if tried is None else _last(tried[1])
            sizes = np.bincount(np.ravel(found.get("terraces", 0)))[1:]
            terraces = int((sizes > _MIN_TERRACE * self._raw.mask.size).sum())
            alone = terraces < 2
            least = _MIN_MASKED_ALONE if alone else _MIN_MASKED
            if tried is not None and self._masked(tried) > least:
                levels = _number(found, "terrace_levels")
                span = float(np.ptp(levels)) if np.size(levels) else 0.0
                text = "edges of steps lie in the image"
                if not alone:
                    text += f"; {terraces} terraces"
                self._keep(tried, text + (f", up to {self._amount(span)} apart" if span else ""))
                self._needed = True
        tried = self._tried("level")
        if tried is not None:
            found = _last(tried[1])
            rows, columns = self._raw.mask.shape
            tilt = abs(float(_number(found, "slope_down_per_px"))) * rows
            tilt += abs(float(_number(found, "slope_right_per_px"))) * columns
            if tilt > _TELLING_TILT * self._rest(tried[1]):
                self._keep(tried, f"the image is tilted by {self._amount(tilt)}")
                self._needed |= tilt > _DOMINANT_TILT * self._rest(tried[1])

    def _try_pickup(self) -> None:
        """Try the removal of tones; on a topograph, atoms and steps look like them."""
        if self._height:
            return
        tried = self._tried("remove_pickup")
        if tried is None:
            return
        found = _last(tried[1])
        amplitudes = np.atleast_1d(_number(found, "amplitude"))
        if amplitudes.size:
            largest = float(np.max(amplitudes))
            self._keep(tried, f"{amplitudes.size} tone(s) of pickup, up to {self._amount(largest)}")

    def _try_level_of_spectra(self) -> None:
        """Take a constant off spectroscopic maps, a plane off a stack of topographs."""
        is_stack = self._raw.image.ndim == 3
        if not is_stack and self._quantity in ("topography", "other"):
            return
        if any(step.name() == "level" for step, _ in self._kept):
            return
        tried = self._tried("level", order=1 if self._height else 0)
        if tried is not None:
            constant = "a constant is no wave; a plane would take slow waves with it"
            self._keep(tried, "topographs are tilted" if self._height else constant)

    def _try_lattice(self) -> None:
        """Suggest drift correction where atoms are resolved."""
        tried = None if self._lattice is None else self._tried("correct_drift")
        if self._lattice is not None and tried is not None:
            spacing = 2 * np.pi / np.hypot(*self._lattice.vectors.T)
            text = f"Atomic rows {spacing.max():.3g} {self._lattice.unit} apart are resolved"
            self._keep(tried, f"{text} ({self._lattice.symmetry})")

    def _find_lattice(self) -> BraggPeaks | None:
        """Look for atoms in the topography, or the image."""
        try:
            image = self._raw.channels.get("topography", self._raw.image)
            return find_bragg_peaks(image, mask=self._raw.mask)
        except PreparationError:
            return None

    def _follows_rows(self) -> bool:
        """Tell whether atomic rows lie along the scan lines, which `AlignRows` would take."""
        if self._lattice is None:
            return False
        least = _ROW_PERIODS * 2 * np.pi / self._raw.mask.shape[1]
        return bool((np.abs(self._lattice.vectors_px[:, 1]) < least).any())

    def _tried(self, name: str, **fields: Any) -> tuple[Step, Prepared] | None:
        """Apply a step; None where it can not be applied."""
        known = known_steps().get(name)
        if known is None:
            return None
        step = known.model_validate(fields)
        try:
            return step, step.apply(self._scan)
        except PreparationError:
            return None

    def _keep(self, tried: tuple[Step, Prepared], reason: str) -> None:
        """Go on from a step that was worth it."""
        step, self._scan = tried
        self._kept.append((step, reason[0].upper() + reason[1:]))

    def _masked(self, tried: tuple[Step, Prepared] | None) -> float:
        """Return the share of pixels that a step masked."""
        if tried is None:
            return 0.0
        return float((self._scan.mask & ~tried[1].mask).mean())

    def _rest(self, scan: Prepared | None = None) -> float:
        """Return the robust spread of an image, rows freed of their medians."""
        values = _counted(self._scan if scan is None else scan)
        values = values[np.isfinite(values).any(axis=1)]
        flat = values - np.nanmedian(values, axis=1, keepdims=True)
        finite = np.abs(flat[np.isfinite(flat)])
        return 1.4826 * float(np.median(finite)) if finite.size else 0.0

    def _row_chance(self, scan: Prepared) -> float:
        """Return the spread of a row's mean that the noise of its pixels makes."""
        steps = np.abs(np.diff(_counted(scan), axis=1))
        steps = steps[np.isfinite(steps)]
        noise = 1.4826 * float(np.median(steps)) / np.sqrt(2.0) if steps.size else 0.0
        return float(noise / np.sqrt(scan.mask.shape[1]))

    def _amount(self, value: float) -> str:
        """Write a number with the image's unit."""
        if self._unit == "nm" and abs(value) < 0.1:
            return f"{value * _PICOMETRES:.2g} pm"
        return f"{value:.2g} {self._unit}"


def _counted(scan: Prepared) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the mean plane, NaN where a pixel does not count."""
    from qpi_kernels.prepare.reference_plane import counted_plane

    return counted_plane(scan)


def _last(scan: Prepared) -> Mapping[str, Any]:
    """Return the report of the last step."""
    return scan.report[list(scan.report)[-1]]


def _number(found: Mapping[str, Any], name: str) -> Any:
    """Return a number of a report whatever its unit."""
    return next(value for key, value in found.items() if key.startswith(name))
