"""Extractions that validate themselves, or choose their window by what it predicts."""

from __future__ import annotations

import numpy as np
import pytest

from qpi_kernels import KernelResult, extract
from qpi_kernels.extraction import ExtractionError, cross_validate, make_parameters
from qpi_kernels.extraction.cross_validation.window import candidate_windows
from shared.planted import friedel_rings, planted_map

PLACES = np.random.default_rng(0).uniform(0, 63, (14, 2))


def observed(decay: float, noise: float = 0.3) -> np.ndarray:
    """Return a map of rings that end at five times a decay."""
    signal = planted_map(friedel_rings(decay=decay), PLACES, (64, 64))
    return signal + noise * np.random.default_rng(1).normal(size=signal.shape)


def test_the_score_is_in_the_quality_and_in_the_file(tmp_path) -> None:
    options = dict(method="least_squares", kernel_shape=(15, 15))
    result = extract(observed(2.0), PLACES, validation_folds=3, **options)
    plain = extract(observed(2.0), PLACES, **options)
    assert plain.quality.prediction is None
    assert np.array_equal(result.kernel, plain.kernel)
    score = result.quality.prediction
    assert score is not None
    alone = cross_validate(
        observed(2.0), PLACES, methods=["least_squares"], folds=3, kernel_shape=(15, 15)
    )
    assert score == alone.scores["least_squares"]
    loaded = KernelResult.load(result.save(tmp_path / "kernel.nc"))
    assert loaded.quality.prediction == score


def test_a_window_is_as_large_as_the_kernel() -> None:
    small = extract(observed(1.0, 0.1), PLACES, kernel_shape="auto", method="least_squares")
    large = extract(observed(3.0, 0.1), PLACES, kernel_shape="auto", method="least_squares")
    assert small.kernel.shape in ((8, 8), (12, 12))
    assert large.kernel.shape in ((16, 16), (24, 24))
    record = large.provenance["window_choice"]
    assert record["chosen_px"] == large.kernel.shape[0]
    best = max(record["r_squared"].values())
    assert record["r_squared"][f"{record['chosen_px']} px"] > 0.95 * best
    assert large.provenance["parameters"]["choose_window"] is False
    assert large.provenance["parameters"]["kernel_shape"] == list(large.kernel.shape)


def test_auto_is_a_choice_of_the_window() -> None:
    assert make_parameters({"kernel_shape": "auto"}).choose_window
    assert make_parameters({"kernel_shape": ("auto", "auto")}).choose_window
    assert not make_parameters({"kernel_shape": (9, 9)}).choose_window
    assert candidate_windows((64, 70)) == [8, 12, 16, 24, 32]
    assert candidate_windows((10, 10)) == [8]


@pytest.mark.parametrize("fields", [{"kernel_shape": "auto"}, {"validation_folds": 3}])
def test_blind_does_neither(fields) -> None:
    with pytest.raises(ExtractionError, match="finds the defects"):
        extract(observed(1.0), method="blind", **fields)


def test_one_fold_is_none() -> None:
    with pytest.raises(ExtractionError, match="2 and more"):
        extract(observed(1.0), PLACES, validation_folds=1)
