"""Masks become text and come back; hashes tell numbers apart."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from qpi_kernels.io.array_records import hash_planes, pack_mask, unpack_mask


@pytest.mark.parametrize("shape", [(3, 5), (8, 8), (1, 1), (0, 4)])
def test_a_mask_comes_back(shape):
    mask = np.random.default_rng(0).random(shape) < 0.4
    packed = json.loads(json.dumps(pack_mask(mask)))
    again = unpack_mask(packed)
    assert again.dtype == bool
    np.testing.assert_array_equal(again, mask)


def test_a_damaged_mask_is_refused():
    packed = pack_mask(np.ones((9, 9), bool))
    with pytest.raises(ValueError, match="not those of"):
        unpack_mask({**packed, "shape": [90, 9]})
    with pytest.raises(ValueError, match="damaged"):
        unpack_mask({**packed, "bits": packed["bits"][5:]})


def test_hashes_follow_numbers():
    values = np.random.default_rng(0).random((2, 4, 5))
    image = xr.DataArray(values, dims=("bias", "y", "x"))
    assert hash_planes(image) == hash_planes(image.chunk(y=2))
    changed = image.copy(deep=True)
    changed[1, 3, 4] += 1e-12
    assert hash_planes(changed) != hash_planes(image)
