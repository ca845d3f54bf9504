"""The first extraction of a process is measured in processes of their own."""

from __future__ import annotations

import pytest

from qpi_kernels.bench.speed.start import start_rows


@pytest.mark.slow
def test_each_row_compares_two_kinds_of_processes() -> None:
    rows = start_rows(1, image=48, kernel=8, defects=4)
    assert len({row.claim for row in rows}) == 4
    cold, warm, busy, busy_cpu = (row.measured for row in rows)
    # Times of a small map say little on a machine that others use; signs and order must be right.
    assert cold > 1
    assert min(warm, busy, busy_cpu) > 0
    assert all(row.detail.count(" s") == 2 for row in rows)
