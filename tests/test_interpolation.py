"""Resampling keeps centres, heights and what is smooth."""

from __future__ import annotations

import numpy as np
import pytest

from qpi_kernels.interpolation import resampling_matrix


def bump(size: int, width: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.exp(-0.5 * ((np.arange(size) - size // 2) / width) ** 2)


@pytest.mark.parametrize("size", [64, 97])
@pytest.mark.parametrize(("out_size", "scale"), [(64, 1.5), (41, 2.0), (150, 0.5), (64, 1.0)])
def test_a_centred_bump_stays_centred(size: int, out_size: int, scale: float) -> None:
    found = resampling_matrix(size, out_size, scale) @ bump(size, 5.0)
    np.testing.assert_allclose(found, bump(out_size, 5.0 / scale), atol=0.02)


def test_scale_one_copies() -> None:
    np.testing.assert_allclose(resampling_matrix(9, 9, 1.0), np.eye(9), atol=1e-12)


def test_what_is_too_fine_fades_instead_of_folding() -> None:
    ripple = np.cos(np.pi * np.arange(128))
    assert abs(resampling_matrix(128, 40, 3.0) @ ripple)[2:-2].max() < 0.02


def test_outside_is_zero() -> None:
    found = resampling_matrix(20, 60, 1.0) @ np.ones(20)
    assert (found[:17] == 0).all()
    assert (found[44:] == 0).all()
