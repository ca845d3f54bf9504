"""Lengths for fast transforms: even, of small factors, and never too short."""

from __future__ import annotations

from qpi_kernels.linalg.transform_length import fast_length


def test_lengths_are_even_and_smooth_and_little_longer() -> None:
    for minimum in range(1, 2000):
        length = fast_length(minimum)
        assert length >= minimum
        assert length % 2 == 0
        assert minimum < 60 or length < 1.1 * minimum
        rest = length
        for factor in (2, 3, 5, 7, 11):
            while rest % factor == 0:
                rest //= factor
        assert rest == 1
