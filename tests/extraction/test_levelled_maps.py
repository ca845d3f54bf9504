"""Levelling before the extraction does not bias kernels: what it took is fitted along."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from qpi_kernels import extract
from qpi_kernels.extraction.background_choice import choose_background
from qpi_kernels.prepare import Crop, Prepared, Rotate, run
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


def test_rows_and_terraces_are_found_after_turns_and_cuts() -> None:
    one = LevelledMap(2, snr=100.0, size=80, steps=True)
    turns = [Rotate(angle_deg=90.0), Crop(rows=(3, 78), columns=(0, 76)), Rotate(angle_deg=25.0)]
    moved = run(replace(one.prepared(), defects=None), turns)
    labels = moved.report["mask_steps"]["terraces"]
    assert labels.shape == moved.mask.shape
    assert labels[moved.mask].min() == 1
    spoiled = np.random.default_rng(0).normal(size=80)
    offsets = spoiled[:, None] + 5.0 * one.terraces
    raw = replace(one.prepared(), image=xr.DataArray(offsets, dims=("y", "x")))
    shown = run(raw, turns)
    result = extract(shown, [(40, 40)], kernel_shape=(3, 3), method="least_squares", ridge=0)
    rest = result.residual.values[shown.mask]
    assert rest.std() < 0.35 * np.asarray(shown.image)[shown.mask].std()
