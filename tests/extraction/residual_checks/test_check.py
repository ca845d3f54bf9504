"""Faults are told by reasons of their own, sound maps by none, whatever the noise."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from qpi_kernels import extract
from qpi_kernels.defects import Defects
from qpi_kernels.extraction import check_residual
from qpi_kernels.quality import ResidualChecks, describe_quality
from qpi_kernels.result import KernelResult
from shared.faulty_maps import COUNT, SIDE, FaultyMap, faulty, sum_of_kernels

FAULTS = (
    "marks_displaced",
    "marks_empty",
    "unmarked_defects",
    "second_kind",
    "tip_change",
    "drift",
    "drift_within",
    "multiple_scattering",
)


def told(checks: ResidualChecks) -> list[str]:
    return [reason.code for reason in checks.reasons if reason.code != "waves_beyond_window"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("snr", [2.0, 30.0])
def test_a_fault_is_told_by_its_own_reason(fault: str, snr: float) -> None:
    checks = check_residual(sum_of_kernels(faulty(fault, 3, snr)))
    assert told(checks) == [fault]
    reason = checks.reasons[0]
    assert reason.trust == "uncertain"
    assert reason.number is not None
    assert reason.threshold is not None
    assert reason.number > 1.5 * reason.threshold


@pytest.mark.parametrize("noise", ["white", "flicker"])
@pytest.mark.parametrize("snr", [1.0, 100.0])
def test_a_sound_map_is_told_nothing(noise: str, snr: float) -> None:
    checks = check_residual(sum_of_kernels(faulty("none", 5, snr, noise)))
    assert told(checks) == []
    assert set(checks.explained) == set(checks.usual) > {"positions", "strengths", "tip_change"}
    assert all(checks.explained[name] < checks.usual[name] for name in checks.usual)


def test_a_tip_change_is_told_with_its_line() -> None:
    (reason,) = check_residual(sum_of_kernels(faulty("tip_change", 1))).reasons
    assert abs(int(reason.place) - SIDE // 2) < SIDE // 12


def test_empty_marks_are_counted() -> None:
    (reason,) = check_residual(sum_of_kernels(faulty("marks_empty", 1))).reasons
    assert reason.place == "4"


def test_chi_squared_of_a_sound_map_is_its_number_of_parameters() -> None:
    found = [check_residual(sum_of_kernels(faulty("none", seed))).explained for seed in range(8)]
    mean = {name: np.mean([one[name] for one in found]) for name in found[0]}
    assert 0.5 * COUNT < mean["strengths"] < 1.2 * COUNT
    assert 0.5 * 2 * COUNT < mean["positions"] < 1.2 * 2 * COUNT
    assert mean["drift"] == pytest.approx(4, abs=2)
    assert mean["shear"] == pytest.approx(2, abs=1.5)
    assert mean["multiple_scattering"] == pytest.approx(2, abs=1.5)


def test_a_mask_hides_a_fault() -> None:
    broken = faulty("tip_change", 2)
    above = np.broadcast_to(np.arange(SIDE)[:, None] < SIDE // 2, (SIDE, SIDE))
    assert told(check_residual(sum_of_kernels(broken, above), above)) == []


def test_few_marks_say_nothing_of_the_model() -> None:
    whole = faulty("none", 0)
    few = FaultyMap(whole.observation, whole.marks[:3])
    checks = check_residual(sum_of_kernels(few))
    assert checks.explained == {}
    assert told(checks) == []


def test_a_harmless_difference_is_told_without_doubt() -> None:
    result = sum_of_kernels(faulty("drift", 0))
    quality = result.quality.model_copy(update={"expected_error": 100.0})
    checks = check_residual(KernelResult(**{**vars(result), "quality": quality}))
    assert [(reason.code, reason.trust) for reason in checks.reasons] == [("drift", "good")]


def test_profiles_show_where_the_residual_is() -> None:
    sound, wrong = (
        check_residual(sum_of_kernels(faulty(fault, 4))) for fault in ("none", "marks_empty")
    )
    quiet = np.abs(sound.around) < 1.5 * np.array(sound.around_band)
    assert quiet.mean() > 0.9
    near, far = (slice(1, 4), slice(-4, None))
    loud = [(np.array(one.power) - 1) / np.array(one.power_band) for one in (sound, wrong)]
    assert np.abs(loud[0]).max() < 2
    assert loud[1][near].mean() > 2
    assert loud[1][near].mean() > 2 * loud[1][far].mean()
    spread = np.array(sound.spectrum) / np.array(sound.noise_spectrum) - 1
    assert (np.abs(spread) < 1.5 * np.array(sound.spectrum_band)).mean() > 0.85


def test_plots_draw_the_numbers() -> None:
    checks = check_residual(sum_of_kernels(faulty("none", 0)))
    first, second, third = Figure().subplots(1, 3)
    checks.plot_around(first)
    checks.plot_spectrum(second)
    checks.plot_power(third)
    np.testing.assert_array_equal(first.lines[0].get_ydata(), checks.around)
    np.testing.assert_array_equal(second.lines[0].get_xdata(), checks.wave_vector)
    np.testing.assert_array_equal(third.lines[0].get_ydata(), checks.power)


def test_an_extraction_doubts_a_drifting_map_and_its_file_keeps_why(tmp_path) -> None:
    broken = faulty("drift", 6)
    result = extract(
        broken.observation.astype(np.float32),
        Defects(broken.marks),
        kernel_shape=broken.kernel.shape,
        method="least_squares",
    )
    assert result.quality.trust == "uncertain"
    assert "drift" in [reason.code for reason in result.quality.reasons]
    assert any("drifts" in line for line in describe_quality(result.quality).reasons)
    loaded = KernelResult.load(result.save(tmp_path / "drift.nc"))
    assert loaded.quality.checks == result.quality.checks


@pytest.mark.slow
@pytest.mark.parametrize("snr", [1.0, 10.0, 100.0])
@pytest.mark.parametrize("noise", ["white", "flicker"])
def test_sound_maps_raise_few_alarms(noise: str, snr: float) -> None:
    alarms = 0
    for seed in range(100, 140):
        sound = faulty("none", seed, snr, noise, whole=True)
        result = extract(
            sound.observation.astype(np.float32),
            Defects(sound.marks),
            kernel_shape=sound.kernel.shape,
        )
        assert result.quality.checks is not None
        alarms += bool(told(result.quality.checks))
    assert alarms <= 2
