"""Positions, kinds and strengths of simulated defects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy.spatial.distance import cdist

from qpi_kernels.defects import DEFAULT_KIND, Defects
from qpi_kernels.parameters import Count, Degrees, Parameters, Pixels, Share
from qpi_kernels.simulate.bands.lattice_vectors import nearest_lattice_vectors
from qpi_kernels.simulate.maps.streams import Seed, stream

__all__ = ["Placement", "PlacementError", "on_lattice", "place_defects", "scatter_defects"]

_CANDIDATES_PER_DEFECT = 1000
_MAX_BLOCK = 1000
_ANGLE_DEG = {"square": 90.0, "triangular": 60.0}


class PlacementError(ValueError):
    """Defects can not be placed as asked; the message says what to change."""


class Placement(Parameters):
    """Positions, kinds and strengths of defects over an image, for `place_defects`."""

    count: Count = 20
    """Number of defects, those outside included."""
    arrangement: Literal["random", "hard_core", "clustered", "ordered"] = "random"
    """random: independent of each other; hard_core: random, but never closer than a distance;
    clustered: around random centres; ordered: on a lattice."""
    margin_px: Pixels = 0.0
    """Distance outside the image up to which defects may lie; negative keeps them inside."""
    min_distance_px: Pixels = Field(default=0.0, ge=0)
    """No two defects are closer than this; not for the random arrangement."""
    cluster_members: float = Field(default=5.0, ge=1)
    """Clustered only: mean number of defects in a cluster."""
    cluster_px: Pixels = Field(default=4.0, gt=0)
    """Clustered only: standard deviation of row and column about the centre."""
    lattice: Literal["square", "triangular"] = "square"
    """Ordered only: the lattice."""
    lattice_px: float | None = Field(default=None, gt=0, json_schema_extra={"unit": "px"})
    """Ordered only: lattice constant. The defects take random sites of the lattice; left out, it is
    chosen so that they fill nearly all."""
    lattice_angle_deg: Degrees = 0.0
    """Ordered only: direction of a lattice vector, from +x towards +y (downwards)."""
    disorder_px: Pixels = Field(default=0.0, ge=0)
    """Ordered only: standard deviation of row and column about the site."""
    kinds: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default={DEFAULT_KIND: 1.0}, min_length=1
    )
    """Kinds of defect and the share of each; the shares need not add up to 1."""
    strength_spread: Share = 0.0
    """Standard deviation of the strengths about their mean of 1. They follow a gamma distribution:
    nearly normal for a small spread, and always positive."""

    @model_validator(mode="after")
    def _distance_fits_arrangement(self) -> Placement:
        if self.arrangement == "hard_core" and self.min_distance_px == 0:
            raise ValueError("the hard_core arrangement needs a min_distance_px above 0")
        if self.arrangement == "random" and self.min_distance_px > 0:
            raise ValueError("random defects keep no distance: take the hard_core arrangement")
        return self


def place_defects(placement: Placement, shape: tuple[int, int], seed: Seed) -> Defects:
    """Draw defects.

    Positions, kinds and strengths come from independent streams: another spread of strengths
    leaves the positions as they are.

    Parameters
    ----------
    placement : Placement
        How many, where and of which kinds.
    shape : tuple of int
        Image size (rows, columns).
    seed : int or sequence of int
        Seed of the draw.

    Returns
    -------
    Defects
        `placement.count` defects at sub-pixel positions in pixels of the image.

    Raises
    ------
    PlacementError
        If so many do not fit.
    """
    count = placement.count
    positions = _positions(placement, _Region(placement, shape), stream(seed, "positions"))
    names, shares = np.array(list(placement.kinds)), np.cumsum(list(placement.kinds.values()))
    draw = stream(seed, "kinds").random(count) * shares[-1]
    kind = names[np.searchsorted(shares, draw, side="right")]
    strength = np.ones(count)
    if placement.strength_spread > 0:
        variance = placement.strength_spread**2
        strength = stream(seed, "strengths").gamma(1 / variance, variance, count)
    return Defects(positions, kind, strength)


def scatter_defects(
    count: int,
    shape: tuple[int, int],
    seed: Seed,
    *,
    min_distance_px: float = 0.0,
    margin_px: float = 0.0,
) -> Defects:
    """Draw equal defects at random sub-pixel positions; `place_defects` can do more.

    Parameters
    ----------
    count : int
        How many.
    shape : tuple of int
        Image size (rows, columns).
    seed : int or sequence of int
        Seed of the draw.
    min_distance_px : float
        No two defects are closer than this.
    margin_px : float
        How far outside the image they may lie; negative keeps them inside by so much.

    Returns
    -------
    Defects
        One kind, unit strengths.

    Raises
    ------
    PlacementError
        If so many do not fit at this distance.
    """
    placement = Placement(
        count=count,
        arrangement="hard_core" if min_distance_px > 0 else "random",
        min_distance_px=min_distance_px,
        margin_px=margin_px,
    )
    return place_defects(placement, shape, seed)


def on_lattice(
    defects: Defects, lattice_nm: NDArray[np.float64] | None, pixel_nm: float
) -> Defects:
    """Move defects to the nearest sites of a crystal lattice, as impurities in a crystal are.

    On a lattice that is resolved, a kernel's atomic contrast must fit the crystal at every defect.

    Parameters
    ----------
    defects : Defects
        In pixels.
    lattice_nm : array, (2, 2), or None
        Primitive vectors (x, y) as rows, see `Band.lattice`; None leaves the defects alone.
    pixel_nm : float
        Pixel pitch.

    Returns
    -------
    Defects
        At most as many: of several on one site the first stays.
    """
    if lattice_nm is None:
        return defects
    sites = nearest_lattice_vectors(defects.positions[:, ::-1] * pixel_nm, lattice_nm)
    _, first = np.unique(sites.round(9), axis=0, return_index=True)
    moved = defects.moved(sites[:, ::-1] / pixel_nm)
    return moved[np.sort(first)]


class _Region:
    """The rectangle of pixel coordinates in which defects may lie."""

    def __init__(self, placement: Placement, shape: tuple[int, int]) -> None:
        self.low = np.full(2, -placement.margin_px - 0.5)
        self.high = np.array(shape) + placement.margin_px - 0.5
        if (self.high <= self.low).any():
            raise PlacementError(
                f"a margin of {placement.margin_px:g} px leaves no room in an image of "
                f"{shape[0]} x {shape[1]} pixels: raise margin_px"
            )

    def points(self, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        return rng.uniform(self.low, self.high, (count, 2))

    def contains(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.asarray(((points >= self.low) & (points <= self.high)).all(axis=1))

    def displaced(
        self, points: NDArray[np.float64], spread: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Move points by normal steps; a step out of the region is drawn again."""
        moved = points + spread * rng.standard_normal(points.shape)
        while not (inside := self.contains(moved)).all():
            again = ~inside
            moved[again] = points[again] + spread * rng.standard_normal((again.sum(), 2))
        return moved


def _positions(
    placement: Placement, region: _Region, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw positions until there are enough, or they do not fit."""
    count = placement.count
    kept = np.zeros((0, 2))
    tried = 0
    for block in _candidates(placement, region, rng) if count else ():
        tried += len(block)
        if placement.min_distance_px > 0:
            block = _apart(block, kept, placement.min_distance_px)
        kept = np.concatenate([kept, block])[:count]
        if len(kept) == count or tried >= _CANDIDATES_PER_DEFECT * count:
            break
    if len(kept) < count:
        distance = f" at a distance of {placement.min_distance_px:g} px"
        raise PlacementError(
            f"{count} defects ({placement.arrangement}) do not fit"
            f"{distance if placement.min_distance_px else ''}, only {len(kept)} do: lower count, "
            "min_distance_px or lattice_px, or raise margin_px"
        )
    return kept


def _candidates(
    placement: Placement, region: _Region, rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """Yield blocks of positions in the order in which they are to be tried."""
    if placement.arrangement == "ordered":
        sites = _lattice_sites(placement, region, rng)
        yield region.displaced(rng.permutation(sites), placement.disorder_px, rng)
        return
    centres = None
    if placement.arrangement == "clustered":
        clusters = max(1, round(placement.count / placement.cluster_members))
        centres = region.points(clusters, rng)
    size = min(placement.count, _MAX_BLOCK)
    while True:
        if centres is None:
            yield region.points(size, rng)
        else:
            own = centres[rng.integers(len(centres), size=size)]
            yield region.displaced(own, placement.cluster_px, rng)


def _apart(
    block: NDArray[np.float64], kept: NDArray[np.float64], distance: float
) -> NDArray[np.float64]:
    """Keep points at a distance to all kept ones and to those before them in the block."""
    if len(kept):
        block = block[cdist(block, kept).min(axis=1) >= distance]
    near = cdist(block, block) < distance
    blocked = np.zeros(len(block), bool)
    chosen = []
    for index in range(len(block)):
        if not blocked[index]:
            chosen.append(index)
            blocked |= near[index]
    return block[chosen]


def _lattice_sites(
    placement: Placement, region: _Region, rng: np.random.Generator
) -> NDArray[np.float64]:
    """List all sites in the region of a lattice that is shifted at random, (N, 2)."""
    origin = rng.random(2)
    opening = np.radians(_ANGLE_DEG[placement.lattice])
    directions = np.radians(placement.lattice_angle_deg) + np.array([0.0, opening])
    vectors = np.stack([np.sin(directions), np.cos(directions)], axis=1)
    extent = region.high - region.low
    if placement.lattice_px is not None:
        return _sites(placement.lattice_px * vectors, origin, region)
    # One cell for each defect; how many sites a rectangle catches varies a little with the origin.
    constant = np.sqrt(extent.prod() / placement.count / np.sin(opening))
    while len(sites := _sites(constant * vectors, origin, region)) < placement.count:
        constant *= 0.99
    return sites


def _sites(
    vectors: NDArray[np.float64], origin: NDArray[np.float64], region: _Region
) -> NDArray[np.float64]:
    """List the lattice sites in a region, (N, 2)."""
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    corners = region.low + corners * (region.high - region.low)
    middle = corners.mean(axis=0)
    indices = (corners - middle) @ np.linalg.inv(vectors)
    first, last = np.floor(indices.min(axis=0)) - 1, np.ceil(indices.max(axis=0)) + 1
    grid = np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(first, last, strict=True)))
    points = middle + (np.stack(grid, axis=-1).reshape(-1, 2) + origin) @ vectors
    return np.asarray(points[region.contains(points)])
