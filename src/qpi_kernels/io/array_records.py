"""Arrays in JSON records and scripts: masks as short text, hashes of numbers."""

from __future__ import annotations

import base64
import hashlib
import math
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["hash_planes", "pack_mask", "unpack_mask"]


def hash_planes(image: xr.DataArray) -> str:
    """Hash an image's numbers (SHA-256), plane by plane so that lazy data stay lazy."""
    digest = hashlib.sha256()
    data = image.data if image.ndim == 3 else image.data[None]
    for index in range(data.shape[0]):
        digest.update(np.ascontiguousarray(np.asarray(data[index])).view(np.uint8).data)
    return digest.hexdigest()


def pack_mask(mask: ArrayLike) -> dict[str, Any]:
    """Pack a mask into text.

    Parameters
    ----------
    mask : array of bool
        Of any shape.

    Returns
    -------
    dict
        ``shape`` and ``bits``: the bits in rows, most significant first, deflated (zlib) and in
        base 85 (RFC 1924 alphabet); JSON-compatible.
    """
    flags = np.asarray(mask, bool)
    bits = base64.b85encode(zlib.compress(np.packbits(flags).tobytes(), 9)).decode()
    return {"shape": list(flags.shape), "bits": bits}


def unpack_mask(packed: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Unpack what `pack_mask` made.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    shape = tuple(int(size) for size in packed["shape"])
    count = math.prod(shape)
    try:
        raw = zlib.decompress(base64.b85decode(packed["bits"]))
    except zlib.error as error:
        raise ValueError(f"a packed mask is damaged: {error}") from error
    if len(raw) != -(-count // 8):
        raise ValueError(f"a packed mask holds {len(raw)} bytes, not those of {shape} pixels")
    return np.unpackbits(np.frombuffer(raw, np.uint8), count=count).reshape(shape).astype(bool)
