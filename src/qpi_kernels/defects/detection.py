"""Detection of point defects on a noisy map: isolated blobs that stand out of noise and waves."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, field_validator

from qpi_kernels.defects.blobs import (
    DetectionError,
    MaskedImage,
    checked_plane,
    filled_lines,
    masked_mean,
)
from qpi_kernels.defects.cleaning import without_duplicates
from qpi_kernels.defects.cores import (
    BRIGHT,
    DARK,
    Spots,
    find_spots,
    line_background,
    strongest_first,
)
from qpi_kernels.defects.rings import Rings, find_rings, height_over_waves
from qpi_kernels.defects.table import DEFAULT_KIND, Defects
from qpi_kernels.parameters import IN_PIXELS, Parameters, Share

__all__ = ["DetectionError", "DetectionParameters", "detect_defects"]

# Sizes tried by size_px="auto": factors of sqrt(2), because a blob filter of the wrong size loses
# little up to that ratio.
_AUTO_SIZES_PX = (4.0, 5.6, 8.0, 11.0, 16.0, 22.0)
_AUTO_COUNTED = 20
# Least evidence of the weaker polarity, as a share of the other's, from which both are defects.
_ALIKE = 0.5
_SIGN = {"bright": BRIGHT, "dark": DARK}
# An island is so many times larger than the defects, and its score so many times higher.
_ISLAND_SIZES, _ISLAND_SCORE = 1.9, 4.0
# Around the centre of rings, in wavelengths: where its own core lies, where all other spots are
# parts of it, and where those are whose own rings are weaker by this factor.
_OWN_CORE, _WITHIN, _BESIDE, _PART = 0.33, 0.75, 1.1, 0.8
# Least height of a spot over the waves around it, where it is no centre of rings.
_MIN_OVER_WAVES = 3.0
# Share of pixels that count, of those so near to one that does, below which a map is sparse.
_NEIGHBOURHOOD_PX, _MIN_DENSITY = 6.0, 0.6
_LOBE_REACH, _LOBE_OPPOSITE, _LOBE_SAME = 1.5, 0.5, 0.25


class DetectionParameters(Parameters):
    """Validated parameters of `detect_defects`."""

    polarity: Literal["auto", "bright", "dark", "both"] = "auto"
    """Bright or dark spots; auto takes what stands out more, or both
    where both stand out alike."""
    look: Literal["auto", "cores", "rings"] = "auto"
    """Look for cores, for the centres of rings, or for both where the map has rings."""
    size_px: Annotated[float | Literal["auto"], IN_PIXELS] = "auto"
    """Diameter of a defect's core; auto tries 4 to 22 px and takes the size at which the strongest
    spots stand out best."""
    threshold: float = Field(default=6.0, gt=0, json_schema_extra={"unit": "sigma"})
    """Least height of a spot, in robust standard deviations of the filtered map (noise and
    waves together)."""
    isolation: Share = 0.5
    """Least contrast towards the worst direction, as a share of the median over all directions:
    rejects rings, steps and streaks; lower it for crowded maps."""
    min_distance_px: Annotated[float | Literal["auto"], IN_PIXELS] = "auto"
    """Closest distance of two detections; auto takes the defect's size."""
    exclude_border: bool = False
    """Leave out defects closer to the edge than their size."""
    kind: str | None = Field(default=None, min_length=1)
    """Kind written in the table; left out: 'defect', or 'bright' and 'dark' if both are found."""
    max_count: int | None = Field(default=None, ge=1)
    """Keep only so many, the strongest; left out: all."""

    @field_validator("size_px", "min_distance_px")
    @classmethod
    def _in_range(cls, value: float | Literal["auto"]) -> float | Literal["auto"]:
        if value != "auto" and not 1 <= value <= 500:
            raise ValueError("give a length from 1 to 500 pixels, or 'auto'")
        return value


def detect_defects(
    image: ArrayLike | xr.DataArray | MaskedImage,
    *,
    mask: ArrayLike | xr.DataArray | None = None,
    parameters: DetectionParameters | None = None,
    **changes: Any,
) -> Defects:
    """Find point defects on one map.

    Each scan line is judged against its own running median, so planes, steps, line offsets and
    slow waves drop out. A matched filter for blobs then marks extrema, measured in robust standard
    deviations of the filtered map, with a noisier scale for noisier scan lines. A spot counts when
    it stands out in every direction, which rings, step edges and streaks do not. Masked pixels
    have no weight anywhere; a spot of which they leave little must stand out more.

    Where the map has waves of one length, the centres of their rings are defects, too, such as
    clusters without a round core. Spots that are part of such a centre, or no higher than the
    waves that cross there, are dropped.

    Parameters
    ----------
    image : array, (y, x), or Prepared
        A topograph or a dI/dV map in any unit; NaN where nothing was measured. A
        `qpi_kernels.prepare.Prepared` brings its mask.
    mask : array of bool, (y, x), optional
        True where a pixel counts. No defect is reported in the midst of the others.
    parameters : DetectionParameters, optional
        All choices at once.
    **changes
        Fields of `DetectionParameters` that differ from ``parameters``: polarity, look,
        size_px, threshold, isolation, min_distance_px, exclude_border, kind, max_count.

    Returns
    -------
    Defects
        Sub-pixel positions, the most significant first, with strength 1.

    Raises
    ------
    DetectionError
        If the image is not 2-D, the mask does not fit it, or most pixels among those that count
        do not.
    pydantic.ValidationError
        If a parameter is out of range.

    Notes
    -----
    For blobs see T. Lindeberg, Int. J. Comput. Vis. 30, 79 (1998), and `BlobFilter`; for rings
    see `find_rings`. The test of all directions is this project's.
    """
    settings = DetectionParameters.model_validate(
        {**(parameters or DetectionParameters()).model_dump(), **changes}
    )
    values, valid = checked_plane(image, mask)
    if not valid.any():
        return Defects(np.zeros((0, 2)))
    _check_density(valid)
    filled = filled_lines(values, valid)
    spots = _cores(filled, valid, settings)
    rings = None
    if settings.look != "cores":
        flat = filled - line_background(filled, valid, max(_AUTO_SIZES_PX))
        rings = find_rings(flat, valid, threshold=settings.threshold)
    if settings.look == "rings":
        spots = spots[:0]
    if rings is not None:
        spots = _with_rings(spots, rings, flat, valid, settings)
    if settings.exclude_border:
        last = np.array(values.shape) - 1 - spots.size
        inner = (spots.positions >= spots.size) & (spots.positions <= last)
        spots = spots[np.flatnonzero(inner.all(axis=1))]
    kind: str | NDArray[np.str_] = settings.kind or DEFAULT_KIND
    if settings.kind is None and len(np.unique(spots.polarity)) > 1:
        kind = np.where(spots.polarity == BRIGHT, "bright", "dark")
    defects = Defects(spots.positions, kind)
    if settings.min_distance_px != "auto":
        defects = without_duplicates(defects, settings.min_distance_px)
    return defects if settings.max_count is None else defects[: settings.max_count]


def _check_density(valid: NDArray[np.bool_]) -> None:
    """Refuse sparse maps, whose spots are not seen.

    Raises
    ------
    DetectionError
        If few of the pixels around those that count do.
    """
    share = masked_mean(valid.astype(float), np.ones_like(valid), _NEIGHBOURHOOD_PX)[0]
    around = float(share[valid].mean())
    if around < _MIN_DENSITY:
        raise DetectionError(
            f"only {100 * around:.0f} % of the pixels are measured; take the defects of the "
            "topograph that this sparse map was planned from, or mark them by hand"
        )


def _cores(
    filled: NDArray[np.float64], valid: NDArray[np.bool_], settings: DetectionParameters
) -> Spots:
    """Find the cores of the size and the polarity that stand out most."""
    sizes = _AUTO_SIZES_PX if settings.size_px == "auto" else (settings.size_px,)
    limits = {"threshold": settings.threshold, "isolation": settings.isolation}
    found = [find_spots(filled, valid, size, **limits) for size in sizes]
    chosen = [_chosen_polarity(_separated(spots, settings), settings) for spots in found]
    best = max(chosen, key=lambda spots: _evidence(spots, settings.threshold))
    # The rim and the shadow of an island are no defects of their own.
    beside = np.zeros(len(best), bool)
    for islands in found:
        if islands.size >= _ISLAND_SIZES * best.size:
            away = np.hypot(*(best.positions[:, None] - islands.positions).transpose(2, 0, 1))
            much = islands.score > _ISLAND_SCORE * best.score[:, None]
            beside |= ((away < islands.size) & much).any(axis=1)
    return best[~beside]


def _with_rings(
    spots: Spots,
    rings: Rings,
    flat: NDArray[np.float64],
    valid: NDArray[np.bool_],
    settings: DetectionParameters,
) -> Spots:
    """Add centres of rings without a core, and drop spots that are parts of such a centre."""
    length = rings.wavelength
    away = np.hypot(*(spots.positions[:, None] - rings.positions).transpose(2, 0, 1))
    alone, without_core = np.ones(len(spots), bool), np.ones(len(rings.score), bool)
    for ring in range(len(rings.score)) if len(spots) else ():
        nearest = away[:, ring].argmin()
        if away[nearest, ring] < _OWN_CORE * length:
            alone[nearest] = without_core[ring] = False
    beside = (away < _BESIDE * length) & (
        (away < _WITHIN * length)
        | (rings.scores_near(spots.positions, _OWN_CORE * length)[:, None] < _PART * rings.score)
    )
    crossing = height_over_waves(flat, valid, spots.positions, length) < _MIN_OVER_WAVES
    real = spots[~alone | ~(beside.any(axis=1) | crossing)]
    centre = masked_mean(flat, valid, length / 8)[0]
    pixel = np.clip(np.rint(rings.positions).astype(np.intp), 0, np.array(flat.shape) - 1)
    polarity = np.where(centre[tuple(pixel.T)] >= 0, BRIGHT, DARK)
    added = without_core & (polarity == _SIGN.get(settings.polarity, polarity))
    size = (int(added.sum()),)
    centres = Spots(
        spots.size, rings.positions[added], rings.score[added], polarity[added], np.ones(size)
    )
    return strongest_first([real, centres])


def _evidence(spots: Spots, threshold: float) -> float:
    """Rate how clearly the strongest spots stand out, to compare sizes and polarities."""
    best = slice(_AUTO_COUNTED)
    return float((np.log(spots.score[best] / threshold) * spots.isolation[best]).sum())


def _chosen_polarity(candidates: Spots, settings: DetectionParameters) -> Spots:
    """Keep the polarity that stands out more, unless one was asked for."""
    if settings.polarity == "both":
        return candidates
    if settings.polarity != "auto":
        return candidates[candidates.polarity == _SIGN[settings.polarity]]
    split = [candidates[candidates.polarity == sign] for sign in (BRIGHT, DARK)]
    weaker, stronger = sorted(split, key=lambda spots: _evidence(spots, settings.threshold))
    share = _evidence(weaker, settings.threshold) / (_evidence(stronger, settings.threshold) or 1.0)
    return candidates if share >= _ALIKE else stronger


def _separated(spots: Spots, settings: DetectionParameters) -> Spots:
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
