"""Detection of point defects on a noisy map: isolated blobs that stand out of noise and waves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, field_validator

from qpi_kernels.defects.blobs import (
    DetectionError,
    MaskedImage,
    blob_response,
    checked_plane,
    flattened,
    refined_peaks,
)
from qpi_kernels.defects.table import DEFAULT_KIND, Defects
from qpi_kernels.parameters import IN_PIXELS, Parameters, Share

__all__ = ["DetectionError", "DetectionParameters", "detect_defects"]

# Sizes tried by size_px="auto": factors of sqrt(2), because a blob filter of the wrong size loses
# little up to that ratio.
_AUTO_SIZES_PX = (4.0, 5.6, 8.0, 11.0, 16.0, 22.0)
_AUTO_COUNTED = 20
_BACKGROUND_SIZES = 6.0
_DIRECTIONS = 16
_LOBE_REACH, _LOBE_OPPOSITE, _LOBE_SAME = 1.5, 0.5, 0.25
_BRIGHT, _DARK = 1, -1


class DetectionParameters(Parameters):
    """Validated parameters of `detect_defects`."""

    polarity: Literal["auto", "bright", "dark", "both"] = "auto"
    """Whether defects are bright or dark spots; auto takes what stands out more."""
    size_px: Annotated[float | Literal["auto"], IN_PIXELS] = "auto"
    """Diameter of a defect's core; auto tries 4 to 22 px and takes the size at which the strongest
    spots stand out best."""
    threshold: float = Field(default=6.0, gt=0, json_schema_extra={"unit": "sigma"})
    """How far a spot must stand out, in robust standard deviations of the filtered map (noise and
    waves together)."""
    isolation: Share = 0.5
    """Least contrast towards the worst direction, as a share of the median over all directions:
    rejects rings, steps and streaks; lower it for crowded maps."""
    min_distance_px: Annotated[float | Literal["auto"], IN_PIXELS] = "auto"
    """Closest distance of two detections; auto takes the defect's size."""
    exclude_border: bool = False
    """Leave out defects closer to the edge than their size."""
    kind: str | None = Field(default=None, min_length=1)
    """Kind written in the table; left out: 'defect', or 'bright' and 'dark' when both are looked
    for."""
    max_count: int | None = Field(default=None, ge=1)
    """Keep only so many, the strongest; left out: all."""

    @field_validator("size_px", "min_distance_px")
    @classmethod
    def _in_range(cls, value: float | Literal["auto"]) -> float | Literal["auto"]:
        if value != "auto" and not 1 <= value <= 500:
            raise ValueError("give a length from 1 to 500 pixels, or 'auto'")
        return value


@dataclass(frozen=True)
class _Candidates:
    """Spots of one filter size, strongest first."""

    size: float
    positions: NDArray[np.float64]
    score: NDArray[np.float64]
    polarity: NDArray[np.int64]
    isolation: NDArray[np.float64]

    def __getitem__(self, index: NDArray[Any] | slice) -> _Candidates:
        return _Candidates(
            self.size,
            self.positions[index],
            self.score[index],
            self.polarity[index],
            self.isolation[index],
        )

    def evidence(self, threshold: float) -> float:
        """Rate how clearly the strongest spots stand out, to compare sizes and polarities."""
        best = slice(_AUTO_COUNTED)
        return float((np.log(self.score[best] / threshold) * self.isolation[best]).sum())


def detect_defects(
    image: ArrayLike | xr.DataArray | MaskedImage,
    *,
    mask: ArrayLike | xr.DataArray | None = None,
    parameters: DetectionParameters | None = None,
    **changes: Any,
) -> Defects:
    """Find point defects on one map.

    Each scan line is judged against its own running median, so planes, steps, line offsets and
    slow waves drop out. A Laplacian-of-Gaussian blob filter then marks extrema, measured in
    robust standard deviations of the filtered map, with a noisier scale for noisier scan lines.
    A spot counts when it stands out in every direction, which rings, step edges and streaks do
    not.

    Parameters
    ----------
    image : array, (y, x), or Prepared
        A topograph or a dI/dV map in any unit; NaN where nothing was measured. A
        `qpi_kernels.prepare.Prepared` brings its mask.
    mask : array of bool, (y, x), optional
        True where a pixel counts. No defect is reported elsewhere.
    parameters : DetectionParameters, optional
        All choices at once.
    **changes
        Fields of `DetectionParameters` that differ from ``parameters``: polarity, size_px,
        threshold, isolation, min_distance_px, exclude_border, kind, max_count.

    Returns
    -------
    Defects
        Sub-pixel positions, the most significant first, with strength 1.

    Raises
    ------
    DetectionError
        If the image is not 2-D or the mask does not fit it.
    pydantic.ValidationError
        If a parameter is out of range.

    Notes
    -----
    For the blob filter see T. Lindeberg, Int. J. Comput. Vis. 30, 79 (1998); a disc of diameter
    d is found best at sigma = d / (2 sqrt(2)). The test of all directions is this project's.
    """
    settings = DetectionParameters.model_validate(
        {**(parameters or DetectionParameters()).model_dump(), **changes}
    )
    values, valid = checked_plane(image, mask)
    if not valid.any():
        return Defects(np.zeros((0, 2)))
    flat = flattened(values, valid)
    sizes = _AUTO_SIZES_PX if settings.size_px == "auto" else (settings.size_px,)
    allowed = {"bright": (_BRIGHT,), "dark": (_DARK,)}.get(settings.polarity, (_BRIGHT, _DARK))
    best = max(
        (
            _chosen_polarity(_candidates(flat, valid, size, allowed, settings), settings)
            for size in sizes
        ),
        key=lambda candidates: candidates.evidence(settings.threshold),
    )
    best = _separated(best, settings)[: settings.max_count]
    if settings.polarity == "both" and settings.kind is None:
        kind: str | NDArray[np.str_] = np.where(best.polarity == _BRIGHT, "bright", "dark")
    else:
        kind = settings.kind or DEFAULT_KIND
    return Defects(best.positions, kind)


def _candidates(
    flat: NDArray[np.float64],
    valid: NDArray[np.bool_],
    size: float,
    polarities: tuple[int, ...],
    settings: DetectionParameters,
) -> _Candidates:
    """Find the round, isolated spots of one filter size, strongest first."""
    from scipy import ndimage
    from skimage.feature import peak_local_max

    sigma = size / (2.0 * np.sqrt(2.0))
    spots = np.where(valid, flat - _line_background(flat, size), 0.0)
    response = blob_response(spots, size)
    smooth = ndimage.gaussian_filter(spots, sigma / np.sqrt(2.0), mode="reflect")
    score = response / _noise(response, valid, sigma)
    by_polarity: list[_Candidates] = []
    for sign in polarities:
        peaks = peak_local_max(  # type: ignore[no-untyped-call]
            np.where(valid, sign * score, 0.0),
            min_distance=max(1, int(size / 2)),
            threshold_abs=settings.threshold,
            exclude_border=False,
        ).reshape(-1, 2)
        if settings.exclude_border:
            last = np.array(flat.shape) - 1
            peaks = peaks[((peaks >= size) & (peaks <= last - size)).all(axis=1)]
        offset, round_enough = refined_peaks(sign * response, peaks)
        isolation = _isolation(sign * smooth, peaks, size)
        keep = round_enough & (isolation >= settings.isolation)
        by_polarity.append(
            _Candidates(
                size,
                (peaks + offset)[keep],
                np.abs(score[tuple(peaks.T)])[keep],
                np.full(int(keep.sum()), sign),
                isolation[keep],
            )
        )
    together = _Candidates(
        size,
        np.concatenate([part.positions for part in by_polarity]),
        np.concatenate([part.score for part in by_polarity]),
        np.concatenate([part.polarity for part in by_polarity]),
        np.concatenate([part.isolation for part in by_polarity]),
    )
    return together[np.argsort(-together.score, kind="stable")]


def _line_background(flat: NDArray[np.float64], size: float) -> NDArray[np.float64]:
    """Take a running median along each scan line, continued with the local slope at its ends."""
    from scipy import ndimage

    half = max(2, min(int(_BACKGROUND_SIZES * size / 2), flat.shape[1] - 1))
    steps = np.arange(1.0, half + 1)
    quarter = half // 2
    ends = []
    for end in (flat[:, :half], flat[:, ::-1][:, :half]):
        rise = np.median(end[:, -quarter:] - end[:, :quarter], axis=1) / (half - quarter)
        # One scan line alone tells its slope poorly, but neighbours share it.
        rise = ndimage.median_filter(rise, 2 * int(size) + 1, mode="nearest")
        ends.append(end - 2 * rise[:, None] * (steps - 0.5))
    padded = np.hstack([ends[0][:, ::-1], flat, ends[1]])
    median = ndimage.median_filter(padded, size=(1, 2 * half + 1), mode="nearest")
    return np.asarray(median[:, half:-half])


def _noise(
    response: NDArray[np.float64], valid: NDArray[np.bool_], sigma: float
) -> NDArray[np.float64]:
    """Estimate a robust standard deviation, of the map or of the scan lines nearby if larger."""
    from scipy import ndimage

    size = np.where(valid, np.abs(response), np.nan)
    usable = valid.mean(axis=1) > 0.1
    lines = np.zeros(len(response))
    lines[usable] = np.nanmedian(size[usable], axis=1) if usable.any() else 0.0
    lines = ndimage.maximum_filter1d(lines, 2 * int(np.ceil(sigma)) + 1)
    # The floor keeps a map without any noise from giving infinite scores.
    floor = 1e-3 * float(np.nanmax(size)) or 1.0
    return np.asarray(np.maximum(1.4826 * np.maximum(lines, np.nanmedian(size)), floor)[:, None])


def _isolation(
    smooth: NDArray[np.float64], peaks: NDArray[np.intp], size: float
) -> NDArray[np.float64]:
    """Compare the worst contrast of all directions with the median, one core size away."""
    from scipy import ndimage

    angle = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
    ring = ndimage.map_coordinates(
        smooth,
        [peaks[:, :1] + size * np.sin(angle), peaks[:, 1:] + size * np.cos(angle)],
        order=1,
        mode="constant",
        cval=np.nan,
    )
    # Directions that leave the image do not count; a quarter of them remains beside a corner.
    contrast = smooth[tuple(peaks.T)][:, None] - ring
    result = np.full(len(peaks), -1.0)
    for index, inside in enumerate(np.isfinite(contrast)):
        if inside.sum() >= _DIRECTIONS // 4 and (median := np.median(contrast[index, inside])) > 0:
            result[index] = contrast[index, inside].min() / median
    return result


def _chosen_polarity(candidates: _Candidates, settings: DetectionParameters) -> _Candidates:
    """Keep the polarity that stands out more, unless one was asked for."""
    if settings.polarity != "auto":
        return candidates
    bright = candidates[candidates.polarity == _BRIGHT]
    dark = candidates[candidates.polarity == _DARK]
    if dark.evidence(settings.threshold) > bright.evidence(settings.threshold):
        return dark
    return bright


def _separated(spots: _Candidates, settings: DetectionParameters) -> _Candidates:
    """Drop close repetitions and the side lobes of much stronger spots."""
    distance = spots.size if settings.min_distance_px == "auto" else settings.min_distance_px
    kept: list[int] = []
    for index, (position, score, polarity) in enumerate(
        zip(spots.positions, spots.score, spots.polarity, strict=True)
    ):
        away = np.hypot(*(spots.positions[kept] - position).T)
        share = np.where(spots.polarity[kept] == polarity, _LOBE_SAME, _LOBE_OPPOSITE)
        lobe = (away < _LOBE_REACH * spots.size) & (score < share * spots.score[kept])
        if not (lobe | (away < distance)).any():
            kept.append(index)
    return spots[np.array(kept, dtype=np.intp)]
