"""Maps of many defects."""

import json

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.special import j0

from qpi_kernels import Defects, simulate
from qpi_kernels.forward import ForwardModel
from qpi_kernels.simulate.maps.artefacts import Artefacts, apply_artefacts, drifted
from qpi_kernels.simulate.maps.observation import ObservationError, observe, superpose
from qpi_kernels.simulate.maps.placement import Placement, place_defects

SHAPE = (48, 64)


def rings(size=65, wave=0.9):
    axis = np.arange(size) - size // 2
    radius = np.hypot(axis[:, None], axis)
    return j0(wave * radius) * np.exp(-((radius / 12) ** 2))


def labelled(kernel, pixel_nm=0.2, **coords):
    size = kernel.shape[-1]
    axis = (np.arange(size) - size // 2) * pixel_nm
    dims = (*coords, "y", "x")
    return xr.DataArray(kernel, dims=dims, coords={**coords, "y": axis, "x": axis})


def defects(**options):
    return place_defects(Placement(count=20, margin_px=5, **options), SHAPE, 0)


def test_a_clean_map_is_the_superposition():
    kernel = rings()
    found = observe(labelled(kernel), defects(), SHAPE)
    expected = ForwardModel(defects(), SHAPE, kernel.shape).apply(torch.from_numpy(kernel[None]))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert found.dims == ("y", "x")
    np.testing.assert_allclose(found.x, 0.2 * np.arange(64))


def test_the_short_forms_are_the_artefacts_of_the_same_name():
    kernel = labelled(rings())
    short = observe(kernel, defects(), SHAPE, noise=0.3, row_offsets=0.2, seed=4)
    long = observe(
        kernel, defects(), SHAPE, artefacts=Artefacts(noise=0.3, row_offsets=0.2), seed=4
    )
    assert short.identical(long)
    with pytest.raises(ObservationError, match="fields of the artefacts"):
        observe(kernel, defects(), SHAPE, noise=0.3, artefacts=Artefacts())


def test_artefacts_and_seed_are_written_down():
    artefacts = Artefacts(noise=0.3, streaks=2, missing_rows=0.1)
    found = observe(labelled(rings()), defects(), SHAPE, artefacts=artefacts, seed=[3, 9])
    told = json.loads(found.attrs["simulation"])
    again = observe(
        labelled(rings()),
        defects(),
        SHAPE,
        artefacts=Artefacts(**told["artefacts"]),
        seed=told["seed"],
    )
    assert found.identical(again)


def test_each_kind_has_its_kernel_whatever_their_order():
    kernels = np.stack([rings(wave=0.5), rings(wave=1.2)])
    mixed = defects(kinds={"Co": 1, "Fe": 1}, strength_spread=0.2)
    both = observe(labelled(kernels, kind=["Fe", "Co"]), mixed, SHAPE)
    parts = sum(
        observe(labelled(kernel), mixed.of_kind(kind), SHAPE)
        for kernel, kind in zip(kernels, ("Fe", "Co"), strict=True)
    )
    np.testing.assert_allclose(both, parts, atol=1e-12)
    only = observe(labelled(kernels, kind=["Fe", "Co"]), mixed.of_kind("Co"), SHAPE)
    np.testing.assert_allclose(
        only, observe(labelled(kernels[1]), mixed.of_kind("Co"), SHAPE), atol=1e-12
    )


def test_kinds_and_biases_together():
    kernels = np.stack([[rings(wave=w) for w in (0.5, 0.8, 1.1)] for _ in range(2)])
    kernels[1] *= -2
    stack = labelled(kernels, kind=["A", "B"], bias=[0.1, 0.2, 0.3])
    mixed = defects(kinds={"A": 1, "B": 1})
    found = observe(stack, mixed, SHAPE, noise=0.1)
    assert found.dims == ("bias", "y", "x")
    np.testing.assert_array_equal(found.bias, [0.1, 0.2, 0.3])
    single = observe(stack.isel(bias=0), mixed, SHAPE, noise=0.1)
    np.testing.assert_allclose(found[0], single, atol=1e-12)


def test_drift_looks_beyond_the_frame():
    artefacts = Artefacts(drift_x_nm_per_min=0.6, drift_y_nm_per_min=0.3)
    drawn = defects()
    found = observe(labelled(rings()), drawn, SHAPE, artefacts=artefacts)
    seen = drifted(drawn, artefacts, SHAPE, pixel_nm=0.2)
    moved = observe(labelled(rings()), seen, SHAPE)
    still = observe(labelled(rings()), drawn, SHAPE)
    # The kernels are sheared a little, too, but the positions are nearly all of it.
    correlation = np.corrcoef([moved.values.ravel(), found.values.ravel(), still.values.ravel()])
    assert correlation[0, 1] > 0.95
    assert correlation[1, 2] < 0.8
    wide = observe(labelled(rings()), drawn.moved(drawn.positions + 12), (72, 88))
    direct = apply_artefacts(wide, artefacts, pixel_nm=0.2, seed=0, margin_px=12)
    np.testing.assert_allclose(found, direct, atol=2e-3 * float(still.std()))


def test_a_map_without_defects_is_empty():
    found = observe(labelled(rings()), Defects(np.zeros((0, 2))), SHAPE, noise=1.0)
    np.testing.assert_array_equal(found, 0.0)
    assert superpose(rings(), Defects(np.zeros((0, 2))), SHAPE).shape == SHAPE


def test_missing_kinds_and_names_are_told():
    kernels = np.stack([rings(), rings()])
    with pytest.raises(ObservationError, match="kind Cu, but kernels only for Fe, Co"):
        observe(labelled(kernels, kind=["Fe", "Co"]), Defects([[3, 3]], "Cu"), SHAPE)
    unnamed = labelled(kernels, kind=["Fe", "Co"]).drop_vars("kind")
    with pytest.raises(ObservationError, match="assign_coords"):
        observe(unnamed, Defects([[3, 3]], "Fe"), SHAPE)
    with pytest.raises(ObservationError, match="y and x"):
        observe(labelled(rings()).rename(y="row"), Defects([[3, 3]]), SHAPE)
    with pytest.raises(ObservationError, match="name the kernels"):
        superpose(kernels, Defects([[3, 3]], "Fe"), SHAPE)
    with pytest.raises(ObservationError, match="kind Cu"):
        superpose(kernels, Defects([[3, 3]], "Cu"), SHAPE, kinds=["Fe", "Co"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [64, 65, 128])
def test_the_quick_superposition_agrees_with_the_forward_model(size, dtype):
    kernel = rings(size)
    drawn = defects(strength_spread=0.3)
    expected = ForwardModel(drawn, SHAPE, kernel.shape).apply(torch.from_numpy(kernel[None]))
    found = superpose(kernel.astype(dtype), drawn, SHAPE)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, atol=1e-3 * float(expected.std()))


def test_the_quick_superposition_is_exact_at_whole_pixels_and_does_not_wrap():
    kernel = np.random.default_rng(0).standard_normal((9, 12))
    positions = [[r, c] for r in range(-9, 58, 3) for c in range(-9, 75, 4)]
    drawn = Defects(positions, strength=np.linspace(1, 2, len(positions)))
    expected = ForwardModel(drawn, SHAPE, kernel.shape).apply(torch.from_numpy(kernel[None]))
    np.testing.assert_allclose(superpose(kernel, drawn, SHAPE), expected, atol=1e-11)
    far = Defects([[-9.3, 10], [20, 71.2], [500, 500]])
    np.testing.assert_array_equal(superpose(kernel, far, SHAPE), 0.0)


def test_the_quick_superposition_knows_kinds():
    kernels = np.stack([rings(wave=0.5), rings(wave=1.2)])
    mixed = defects(kinds={"Co": 1, "Fe": 1})
    found = superpose(kernels, mixed, SHAPE, kinds=["Fe", "Co"])
    parts = superpose(kernels[0], mixed.of_kind("Fe"), SHAPE) + superpose(
        kernels[1], mixed.of_kind("Co"), SHAPE
    )
    np.testing.assert_allclose(found, parts, atol=1e-12)


def test_maps_of_one_pitch_have_the_same_coordinates():
    band, scene = simulate.ParabolicBand.silver(), {"bias": 0.05, "pixel_nm": 0.3}
    scene |= {"impurity": -1.0, "broadening": 0.02}
    defects = Defects([(5, 7), (20, 18)])
    kernel = simulate.single_defect(band, shape=(61, 61), **scene)
    summed = observe(kernel, defects, (30, 30))
    full = simulate.multiple_defects(band, defects, shape=(30, 30), **scene)
    assert (full - summed).shape == (30, 30)
