"""Maps with one fault each: as large as said, and told by its own reason."""

from __future__ import annotations

import numpy as np
import pytest

from qpi_kernels.bench.robustness.faults import FAULTS, confusion, fault_map, find_fault
from qpi_kernels.quality_sentences import SENTENCES


@pytest.mark.parametrize("fault", FAULTS)
def test_noise_is_as_loud_as_asked(fault: str) -> None:
    quiet, loud = (fault_map(fault, 1, snr=snr).observation for snr in (1e6, 4.0))
    assert quiet.var() / (loud - quiet).var() == pytest.approx(4, rel=0.05)


def test_faults_are_in_the_marks_or_in_the_map() -> None:
    made = {fault: fault_map(fault, 2, snr=1e9) for fault in FAULTS}
    sound = made["nothing wrong"]
    counts = {fault: len(one.marked) for fault, one in made.items()}
    assert counts["a quarter of the marks empty"] == 4 * counts["nothing wrong"] // 3
    assert counts["a fifth of the defects unmarked"] == 20
    off = made["marks off by 0.7 px"].marked.positions - sound.marked.positions
    assert np.sqrt(np.square(off).mean()) == pytest.approx(0.7, rel=0.3)
    in_marks = "marks off by 0.7 px", "marks of a map without drift"
    for fault in in_marks:
        np.testing.assert_allclose(made[fault].observation, sound.observation, atol=1e-3)
    for fault in ("second kind, same label", "tip change", "drift that slows down"):
        left = np.abs(made[fault].observation - sound.observation)
        assert left.std() > 0.05 * sound.observation.std()


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="take one of"):
        fault_map("earthquake", 0, snr=1.0)


def test_every_fault_has_a_sentence() -> None:
    assert set(FAULTS.values()) - {""} <= set(SENTENCES)


def test_a_found_fault_is_counted() -> None:
    found = find_fault("a quarter of the marks empty", 1, snr=10.0)
    assert confusion([found, found]) == {"marks_empty": 2}
    assert found.trust == "uncertain"
    assert 0 < found.coverage < 1


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_told_apart(fault: str) -> None:
    told = confusion(find_fault(fault, seed, snr=10.0) for seed in range(30, 40))
    assert told[FAULTS[fault]] >= 9
