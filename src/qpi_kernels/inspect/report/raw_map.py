"""The raw map of a result, from the file that its provenance names."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from qpi_kernels.inspect.axes import nearest_plane
from qpi_kernels.inspect.figures.planes import plane_axis
from qpi_kernels.io.array_records import hash_planes
from qpi_kernels.result import KernelResult

__all__ = ["RawMap", "find_raw_map"]


class RawMap(NamedTuple):
    """The raw map, or None, and a sentence about where it is from or why it is missing."""

    image: xr.DataArray | None
    sentence: str


def find_raw_map(result: KernelResult) -> RawMap:
    """Read the raw map of a result again, if its file is there and gives the same numbers.

    Parameters
    ----------
    result : KernelResult
        Its ``provenance`` names file, channel and preparation.

    Returns
    -------
    RawMap
        The planes of the file that were used, ``(y, x)`` or ``(bias, y, x)``, if the SHA-256 of
        what the recorded preparation makes of them is the recorded one.
    """
    known = result.provenance
    name = str(known.get("file", ""))
    if not name:
        return RawMap(None, "The raw map is not shown: the result does not name a file.")
    path = Path(name)
    if not path.is_file():
        return RawMap(None, f"The raw map is not shown: {name} is not there (any more).")
    from qpi_kernels.io import ScanFormatError, open_scan

    try:
        scan = open_scan(path)
    except ScanFormatError as error:
        return RawMap(None, f"The raw map is not shown: {error}.")
    channel = str(known.get("channel", ""))
    if channel not in scan:
        return RawMap(None, f"The raw map is not shown: {path.name} has no channel {channel!r}.")
    image = _planes_used(scan[channel], result)
    if image is not None:
        for observation in _observations(scan, image, result):
            if hash_planes(observation) == known.get("observation_sha256"):
                what = "The recorded preparation of it" if known.get("preparation") else "It"
                same = f"{what} is the observation, bit for bit (SHA-256)."
                return RawMap(image, f"Raw map: {name}. {same}")
    return RawMap(
        None,
        f"The raw map is not shown: {name}, channel {channel!r}, does not give the numbers that "
        "were extracted from. The file changed, or something was done to the map that is not "
        "recorded.",
    )


def _planes_used(image: xr.DataArray, result: KernelResult) -> xr.DataArray | None:
    """Return the planes of a stack at the biases of a result; None if there are none."""
    wanted, there = plane_axis(result.residual), plane_axis(image)
    if there is None:
        return None if wanted is not None else image
    if wanted is None:
        if "bias" not in result.kernel.coords:
            return None
        return image.isel({image.dims[0]: nearest_plane(there, float(result.kernel["bias"]))})
    return image.isel({image.dims[0]: [nearest_plane(there, one) for one in wanted]})


def _observations(
    scan: xr.Dataset, image: xr.DataArray, result: KernelResult
) -> Iterator[xr.DataArray]:
    """Prepare the raw map as recorded, with and without what may have been known before.

    Steps leave out masked pixels and protect marked defects, and whether there were any before
    the preparation is not recorded.
    """
    history = result.provenance.get("preparation", [])
    if not history:
        yield image
        return
    from qpi_kernels.prepare import PreparationError, channels_beside, replay

    channels = channels_beside(scan, image)
    known = result.mask
    masks: list[Any] = [None] if known is None else [None, known.values]
    for mask, defects in product(masks, (None, result.defects)):
        if mask is not None and mask.shape != image.shape[-2:]:
            continue
        try:
            yield replay(image, history, mask=mask, defects=defects, channels=channels).image
        except (PreparationError, ValueError, np.linalg.LinAlgError):
            continue
