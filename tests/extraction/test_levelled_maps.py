"""Levelling before the extraction does not bias kernels: what it took is fitted along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from qpi_kernels import Defects, extract
from qpi_kernels.extraction.background_choice import PixelLabels, choose_background
from qpi_kernels.prepare import AlignRows, Crop, Level, MaskSteps, Prepared, Rotate, run
from qpi_kernels.prepare.geometry.frame import Frame
from qpi_kernels.prepare.geometry.resampling import resample
from shared.levelled_maps import WINDOW, LevelledMap, kernel_error


def mean_error(maps: list[LevelledMap], given: list[Any], **parameters: Any) -> float:
    errors = [
        kernel_error(extract(image, one.positions, kernel_shape=WINDOW, **parameters).kernel)
        for one, image in zip(maps, given, strict=True)
    ]
    return float(np.mean(errors))


def with_true_background_subtracted(one: LevelledMap) -> Prepared:
    return Prepared(xr.DataArray(one.signal, dims=("y", "x")), one.mask)


@pytest.mark.parametrize("steps", [False, True])
@pytest.mark.parametrize("snr", [1.0, 10.0])
def test_least_squares_after_levelling(snr: float, steps: bool) -> None:
    maps = [LevelledMap(seed, snr=snr, size=112, steps=steps) for seed in range(2)]
    prepared = [one.prepared() for one in maps]
    best = mean_error(
        maps, [with_true_background_subtracted(one) for one in maps], method="least_squares"
    )
    assert mean_error(maps, prepared, method="least_squares") < 1.02 * best
    assert mean_error(maps, prepared, method="least_squares", background="plane") > 1.02 * best


@pytest.mark.slow
def test_bayes_after_levelling() -> None:
    maps = [LevelledMap(seed, size=160) for seed in range(2)]
    prepared = [one.prepared() for one in maps]
    best = mean_error(maps, [with_true_background_subtracted(one) for one in maps])
    assert mean_error(maps, prepared) < 1.02 * best
    assert mean_error(maps, prepared, background="plane") > 1.1 * best


def test_the_kernel_is_that_of_the_raw_map() -> None:
    """Whatever was subtracted of the fitted functions, to rounding."""
    one = LevelledMap(0, size=64)
    raw = Prepared(xr.DataArray(one.signal + one.background, dims=("y", "x")), one.mask)
    options: dict[str, Any] = dict(kernel_shape=(11, 11), method="least_squares", ridge=0)
    expected = extract(raw, one.positions, background="rows", **options)
    found = extract(one.prepared(), one.positions, **options)
    np.testing.assert_allclose(found.kernel, expected.kernel, atol=1e-4)
    assert found.provenance["parameters"]["background"] == "rows"


def test_each_bias_has_its_own_constants() -> None:
    one = LevelledMap(1, size=64, steps=True)
    planes = [one.prepared().image.values * scale for scale in (1.0, 0.5)]
    offsets = np.stack([3.0 * one.terraces, -2.0 * one.terraces])
    cube = replace(
        one.prepared(), image=xr.DataArray(np.stack(planes) + offsets, dims=("bias", "y", "x"))
    )
    options: dict[str, Any] = dict(kernel_shape=(11, 11), method="least_squares")
    found = extract(cube, one.positions, **options)
    alone = extract(one.prepared(), one.positions, **options)
    np.testing.assert_allclose(found.kernel[0], alone.kernel, atol=2e-3)
    np.testing.assert_allclose(2 * found.kernel[1], alone.kernel, atol=2e-3)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], "plane"),
        ([{"step": "crop"}], "plane"),
        ([{"step": "level", "order": 1}], "plane"),
        ([{"step": "level", "order": 2}], "quadratic"),
        ([{"step": "align_rows"}, {"step": "level", "order": 1}], "rows"),
        ([{"step": "level", "order": 2}, {"step": "align_rows"}], "rows+quadratic"),
    ],
)
def test_auto_takes_what_was_levelled(steps: list[dict[str, Any]], expected: str) -> None:
    assert choose_background("auto", steps) == expected
    assert choose_background("offset", steps) == "offset"


def on_terraces(one: LevelledMap) -> Prepared:
    """Show nothing but rows and terraces."""
    rows = 3 * np.sin(np.arange(len(one.terraces))[:, None] ** 2 / 300)
    return replace(one.prepared(), image=xr.DataArray(rows + 5.0 * one.terraces, dims=("y", "x")))


def residual_share(prepared: Prepared) -> float:
    result = extract(prepared, [(40, 40)], kernel_shape=(3, 3), method="least_squares", ridge=0)
    shown = np.isfinite(result.residual.values) & prepared.mask
    return float(result.residual.values[shown].std() / prepared.image.values[shown].std())


def test_rows_and_terraces_are_found_after_turns_and_cuts() -> None:
    turns = [Rotate(angle_deg=90.0), Crop(rows=(3, 78), columns=(0, 76)), Rotate(angle_deg=25.0)]
    moved = run(on_terraces(LevelledMap(2, size=80, steps=True)), turns)
    assert residual_share(moved) < 0.12
    rows_only = replace(moved, report={**moved.report, "mask_steps": {}}, history=moved.history[2:])
    assert residual_share(rows_only) > 0.3
    as_of_rows = replace(moved, report={**moved.report, "align_rows": {}})
    assert residual_share(as_of_rows) > 0.3


def bent(scan: Prepared) -> Prepared:
    row, col = np.indices(scan.mask.shape)
    drift = 1.5 * np.stack([np.sin(col / 20) * np.cos(row / 25), np.cos(col / 30)])
    return resample(scan, Frame((112, 112), np.eye(2), np.zeros(2)), drift)


def turned(scan: Prepared) -> Prepared:
    return run(scan, [Rotate(angle_deg=17.0)])


@pytest.mark.parametrize("move", [bent, turned])
def test_rows_that_were_bent_or_turned(move: Callable[[Prepared], Prepared]) -> None:
    one = LevelledMap(0, size=112)
    defects = Defects(one.positions)
    options: dict[str, Any] = dict(kernel_shape=WINDOW, method="least_squares")
    clean = move(Prepared.start(LevelledMap(0, size=112, snr=1e12).signal, None, defects))
    truth = extract(clean, **options).kernel.values

    def error(scan: Prepared, **choice: Any) -> float:
        found = extract(move(replace(scan, defects=defects)), **options, **choice)
        return float(np.std(found.kernel.values - truth))

    best = error(with_true_background_subtracted(one))
    assert error(one.prepared()) < 1.02 * best
    assert error(one.prepared(), background="plane") > 1.02 * best


def test_the_steps_themselves() -> None:
    """Rows, steps and plane as `qpi_kernels.prepare` finds them."""
    one = LevelledMap(1, size=128, steps=True)
    raw = one.signal + one.background
    prepared = run(raw, [AlignRows(), MaskSteps(), Level()])
    assert len(np.unique(prepared.report["mask_steps"]["terraces"])) == 4
    true = Prepared(xr.DataArray(one.signal, dims=("y", "x")), prepared.mask)
    options: dict[str, Any] = dict(method="least_squares")
    best = mean_error([one], [true], **options)
    assert mean_error([one], [prepared], **options) < 1.02 * best
    assert mean_error([one], [prepared], background="plane", **options) > 1.02 * best


def test_regions_of_a_given_mask_are_terraces_once_it_is_levelled() -> None:
    one = LevelledMap(3, size=80, steps=True)
    raw = Prepared(xr.DataArray(one.signal + one.background, dims=("y", "x")), one.mask)
    found = PixelLabels.of(run(raw, [Level()])).terraces
    assert found is not None
    for label in (1, 2, 3):
        assert len(np.unique(found[one.terraces == label])) == 1
    assert PixelLabels.of(raw).terraces is None


def test_specks_between_steps_do_not_count() -> None:
    one = LevelledMap(3, size=80)
    prepared = one.prepared()
    labels = prepared.report["mask_steps"]["terraces"]
    labels[10:14, 10:14] = 0
    labels[11:13, 11:13] = 2
    mask = labels > 0
    image = prepared.image.where(labels != 2, 100.0)
    spoiled = replace(prepared, image=image, mask=mask)
    options: dict[str, Any] = dict(kernel_shape=(11, 11), method="least_squares")
    found = extract(spoiled, one.positions, **options)
    without = extract(replace(prepared, mask=mask & (labels == 1)), one.positions, **options)
    np.testing.assert_allclose(found.kernel, without.kernel, atol=1e-4)
    assert found.provenance["counted_pixels"] == 80 * 80 - 16


def test_the_average_keeps_the_levelling_of_the_preparation() -> None:
    """It is no joint fit: means of rows would take the waves away that medians left."""
    one = LevelledMap(0, size=64)
    found = extract(one.prepared(), one.positions, kernel_shape=(11, 11), method="average")
    assert found.provenance["parameters"]["background"] == "plane"
