"""Exponents, medians and verdicts of the speed benchmark's report."""

from __future__ import annotations

import numpy as np
import pytest

from qpi_kernels.bench.speed.report import (
    Axis,
    ExtractionRow,
    ExtractionTime,
    Failure,
    GrowthPoint,
    SpeedReport,
    SpeedRow,
)


def point(axis: Axis, size: int, seconds: float, peak_mib: float = 100.0) -> GrowthPoint:
    return GrowthPoint(
        method="bayes",
        axis=axis,
        size=size,
        seconds=seconds,
        cpu_seconds=seconds,
        peak_mib=peak_mib,
        transforms_s=0.01,
    )


def report(**measured: object) -> SpeedReport:
    return SpeedReport.model_validate({"machine": {}, "quick": False, **measured})


def run(seconds: float) -> ExtractionTime:
    return ExtractionTime(
        seconds=seconds,
        cpu_seconds=seconds,
        transforms_s=0.1,
        least_squares_s=0.5,
        iterations=12,
        note="",
    )


@pytest.mark.parametrize("power", [1.0, 1.5])
def test_time_is_compared_with_the_growth_of_an_fft(power: float) -> None:
    sides = np.array([128, 256, 512])
    seconds = (sides**2 * np.log(sides**2)) ** power
    points = [
        point("map", int(n), float(t), 8.5 * n**2) for n, t in zip(sides, seconds, strict=True)
    ]
    (curve,) = report(growth=points[::-1]).curves
    assert [one.size for one in curve.points] == [128, 256, 512]
    assert curve.exponent == pytest.approx(power)
    assert curve.last_exponent == pytest.approx(power)
    assert curve.memory_exponent == pytest.approx(1.0)
    assert curve.passed == (power < 1.2)


def test_the_last_exponent_forgets_what_is_constant() -> None:
    points = [point("biases", n, 1.0 + 0.5 * n) for n in (1, 10, 100, 1000)]
    (curve,) = report(growth=points).curves
    assert curve.exponent is not None
    assert curve.last_exponent is not None
    assert 0.7 < curve.exponent < curve.last_exponent < 1.0
    # Memory of libraries is no curve.
    few = report(growth=[point("biases", n, 1.0, 2.0) for n in (1, 2)]).curves[0]
    assert few.memory_exponent is None
    assert few.passed


def test_one_point_has_no_exponent() -> None:
    (curve,) = report(growth=[point("kernel", 16, 1.0)]).curves
    assert curve.exponent is curve.memory_exponent is None


def test_rows_are_medians_and_the_foreign_ones_are_taken_together() -> None:
    rows = [
        ExtractionRow(name="listed", runs=[run(9.0)]),
        ExtractionRow(name="one", aim_s=1.5, worst_aim_s=3.0, runs=[run(1.0), run(2.0)]),
        ExtractionRow(name="two", aim_s=1.5, worst_aim_s=3.0, runs=[run(4.0)]),
    ]
    made = report(extractions=rows)
    assert made.foreign is not None
    assert (made.foreign.seconds, made.foreign.worst) == (2.0, 4.0)
    assert made.foreign.over_transforms == pytest.approx(20.0)
    assert made.foreign.over_least_squares == pytest.approx(4.0)
    heads, *lines = made.tables()["Extraction"]
    assert len(lines) == 4
    assert all(len(line) == len(heads) for line in lines)
    assert "1.5, worst 3" in lines[-1]
    # Seconds are no claim.
    assert made.passed


def test_ratios_exponents_and_failures_decide() -> None:
    good, bad = (
        SpeedRow(claim="a / b", measured=value, limit=2.0, detail="") for value in (2.0, 2.1)
    )
    assert report(rows=[good]).passed
    assert not report(rows=[good, bad]).passed
    assert report(rows=[bad], quick=True).passed
    steep = [point("defects", n, float(n) ** 2) for n in (1, 2)]
    assert not report(growth=steep).passed
    assert not report(quick=True, failures=[Failure(name="a", error="b")]).passed
