"""The losses of the stages, each part with its weight."""

from __future__ import annotations

import pytest

from qpi_kernels.progress import drive

WEIGHTS = {"symmetric_weight": 0.7, "divergence_weight": 0.3, "decoded_weight": 5.0}


@pytest.mark.parametrize(
    ("stage", "parts"),
    [
        ("kernels", {"squared": 1.0, "divergence": 0.3, "symmetric": 0.7}),
        ("one-step", {"squared": 1.0, "divergence": 0.3}),
        ("alignment", {"mean": 1.0, "logvar": 1.0, "squared": 5.0}),
    ],
)
def test_parts_are_summed_with_their_weights(make, tmp_path, stage, parts):
    if stage == "alignment":
        drive(make(tmp_path, steps=1))
    found = make(tmp_path, stage=stage, **WEIGHTS).step().values
    assert all(found[name] > 0 for name in parts)
    weighed = sum(weight * found[name] for name, weight in parts.items())
    assert found["loss"] == pytest.approx(weighed, rel=1e-5)
