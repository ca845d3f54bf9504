"""Signed transforms of kernels: analytic phases, and errors against draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter

from qpi_kernels import Defects, KernelResult
from qpi_kernels.inspect import InspectionError, phase_referenced
from qpi_kernels.quality import Quality

PITCH = 0.5


def labelled(values, **coords):
    axes = {
        axis: (axis, (np.arange(size) - size // 2) * PITCH, {"units": "nm"})
        for axis, size in zip("yx", values.shape[-2:], strict=True)
    }
    dims = (*coords, "y", "x")
    return xr.DataArray(values, dims=dims, coords={**coords, **axes}, attrs={"units": "nS"})


def gaussian(shape, width=1.1, at=(0.0, 0.0)):
    y, x = ((np.arange(size) - size // 2) * PITCH for size in shape)
    return np.exp(-((y[:, None] - at[0]) ** 2 + (x - at[1]) ** 2) / (2 * width**2))


@pytest.mark.parametrize("shape", [(32, 40), (33, 41)])
def test_a_displaced_gaussian_has_the_phase_of_its_place(shape):
    at = (0.3, -0.45)
    found = phase_referenced(labelled(gaussian(shape, at=at)), window="none")
    assert found["real_part"].attrs["units"] == "nS nm^2"
    q_y, q_x = np.meshgrid(found["q_y"], found["q_x"], indexing="ij")
    expected = 2 * np.pi * 1.1**2 * np.exp(-(q_y**2 + q_x**2) * 1.1**2 / 2)
    expected = expected * np.exp(-1j * (q_y * at[0] + q_x * at[1]))
    away = (q_y != 0) | (q_x != 0)  # the mean is taken out
    np.testing.assert_allclose(found["real_part"].values[away], expected.real[away], atol=2e-3)
    np.testing.assert_allclose(found["imaginary_part"].values[away], expected.imag[away], atol=2e-3)
    assert bool(found["real_part_std"].isnull().all())


@pytest.mark.parametrize(("shape", "padding"), [((16, 20), 1), ((15, 17), 2)])
def test_errors_are_those_of_drawn_noise(shape, padding):
    rng = np.random.default_rng(0)
    # An error that is larger on one side correlates scattering vectors.
    std = 0.1 * (1 + np.linspace(0, 2, shape[1])) * np.ones(shape)
    kernel = labelled(gaussian(shape))
    found = phase_referenced(kernel, std=labelled(std), padding=padding)
    draws = kernel.values + std * rng.standard_normal((2500, *shape))
    drawn = phase_referenced(labelled(draws, draw=np.arange(2500)), padding=padding)
    for part in ("real_part", "imaginary_part"):
        spread = drawn[part].std("draw").values
        expected = found[f"{part}_std"].values
        known = expected > 0.05 * expected.max()
        # The mean that is taken out lowers the error at q = 0 and its neighbours.
        q = np.hypot(found["q_y"], found["q_x"]).values > 4 * np.pi / (min(shape) * PITCH)
        np.testing.assert_allclose(spread[known & q], expected[known & q], rtol=0.08)


@pytest.mark.parametrize("turned_std", [False, True])
def test_the_sense_of_the_axes_changes_nothing(turned_std):
    std = 0.1 * np.random.default_rng(2).uniform(1, 3, (16, 18))
    kernel, std = labelled(gaussian((16, 18), at=(0.3, 0.2))), labelled(std)
    expected = phase_referenced(kernel, std=std)
    turned = {"y": slice(None, None, -1), "x": slice(None, None, -1)}
    found = phase_referenced(kernel.isel(turned), std=std.isel(turned) if turned_std else std)
    xr.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("spread", [0.05, 0.6])
def test_a_common_shift_of_the_origin_enters_with_its_phase(spread):
    rng = np.random.default_rng(1)
    shape = (24, 24)
    found = phase_referenced(
        labelled(gaussian(shape, at=(0.2, 0.0))), position_std_nm=spread, window="none"
    )
    signed = (found["real_part"] + 1j * found["imaginary_part"]).values
    d = spread * rng.standard_normal((3000, 2))
    angle = d[:, :1, None] * found["q_y"].values[:, None] + d[:, 1:, None] * found["q_x"].values
    drawn = signed * np.exp(-1j * angle)
    largest = np.abs(signed).max()
    for part, spreads in (("real_part", drawn.real.std(0)), ("imaginary_part", drawn.imag.std(0))):
        np.testing.assert_allclose(
            found[f"{part}_std"].values, spreads, rtol=0.06, atol=2e-3 * largest
        )


def refined(kernel, std, shifts):
    nothing = labelled(np.zeros(kernel.shape[-2:]))
    return KernelResult(
        kernel=kernel, std=std, background=nothing, reconstruction=nothing, residual=nothing,
        defects=Defects([[5.0, 5.0]]), quality=Quality.model_construct(),
        provenance={"refinement": {"shift_error_px": shifts}},
    )  # fmt: skip


def test_a_refined_result_brings_its_position_error():
    shape = (20, 22)
    kernel, white = labelled(gaussian(shape)), labelled(np.full(shape, 0.01))
    slopes = np.square(np.gradient(kernel.values)).sum(axis=0)
    widened = labelled(np.sqrt(0.01**2 + 0.3**2 * slopes))
    found = phase_referenced(refined(kernel, widened, {"defect": 0.3}))
    given = phase_referenced(kernel, std=white, position_std_nm=0.3 * PITCH)
    assert found.attrs["position_std_nm"] == pytest.approx(0.15)
    for name in ("real_part_std", "imaginary_part_std"):
        np.testing.assert_allclose(found[name], given[name], rtol=1e-6)


def test_moves_in_the_draws_of_a_refined_result_count_once():
    """Its errors are those of the draws without moves, with the place's error beside."""
    shape, rng = (20, 22), np.random.default_rng(0)
    kernel = labelled(gaussian(shape))
    smooth = gaussian_filter(rng.standard_normal((8, *shape)), (0, 0.5, 0.5), mode="wrap")
    smooth *= 0.01 / smooth.std()
    along = np.stack(np.gradient(kernel.values))
    moves = np.tensordot(0.3 * rng.standard_normal((8, 2)), along, axes=1)
    draws, moved = (
        xr.DataArray(one, dims=("draw", "y", "x"), coords=kernel.coords)
        for one in (smooth, smooth + moves)
    )
    white = labelled(np.full(shape, 0.01))
    widened = labelled(np.sqrt(0.01**2 + 0.3**2 * np.square(along).sum(axis=0)))
    result = refined(kernel, widened, {"defect": 0.3})
    found = phase_referenced(replace(result, draws=moved))
    given = phase_referenced(kernel, std=white, draws=draws, position_std_nm=0.3 * PITCH)
    for name in ("real_part_std", "imaginary_part_std"):
        told, expected = found[name].values, given[name].values
        assert told.mean() == pytest.approx(expected.mean(), rel=0.02)
        assert np.abs(told - expected).max() < 0.05 * expected.max()


def test_every_kind_has_its_own_position_error():
    kernel = labelled(np.stack([gaussian((16, 16))] * 2), kind=["a", "b"])
    found = phase_referenced(kernel, position_std_nm={"a": 0.0, "b": 0.2})
    assert found["imaginary_part_std"].dims == ("kind", "q_y", "q_x")
    assert float(found["imaginary_part_std"].sel(kind="a").max()) == 0
    assert float(found["imaginary_part_std"].sel(kind="b").max()) > 0


def test_what_does_not_fit_is_told():
    kernel = labelled(gaussian((16, 16)))
    with pytest.raises(InspectionError, match="must be alike"):
        phase_referenced(kernel, std=labelled(gaussian((16, 18))))
    with pytest.raises(InspectionError, match=r"DataArrays with y and x in nm .* not ndarray"):
        phase_referenced(kernel.values)
    with pytest.raises(InspectionError, match="negative"):
        phase_referenced(kernel, position_std_nm=-0.1)
    with pytest.raises(InspectionError, match="y = x = 0"):
        phase_referenced(kernel.assign_coords(x=kernel["x"] + 50))
