"""Layers to arrays, tables and masks, and results to layers."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import combinations
from typing import TYPE_CHECKING

import dask.array as da
import numpy as np
import pytest
import torch
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points, Shapes

from napari_qpi.layers.comparison import show_side_by_side
from napari_qpi.layers.conversion import (
    METADATA_KEY,
    LayerConversionError,
    add_layers,
    defects_from_points,
    layer_geometry,
    mask_from_layer,
    observation_from_layer,
    points_from_defects,
    result_of,
    shown_plane,
    type_of,
)
from napari_qpi.layers.result import result_layers, show_result
from napari_qpi.layers.scan import scan_layers
from qpi_kernels.defects import Defects
from qpi_kernels.inspect.colours import colour_limits
from qpi_kernels.io import Channel, scan_dataset
from qpi_kernels.result import KernelResult

if TYPE_CHECKING:
    from napari import Viewer


def map_layer(**changes: object) -> Image:
    arguments = {"scale": (0.5, 0.25), "translate": (10, -3), "rotate": 25, "units": ("nm", "nm")}
    return Image(np.random.default_rng(0).normal(size=(20, 24)), **(arguments | changes))


def test_a_map_becomes_an_observation_with_coordinates() -> None:
    layer = map_layer(name="Ag map", metadata={METADATA_KEY: {"units": "S", "bias": 0.05}})
    observation = observation_from_layer(layer)
    assert observation.dims == ("y", "x")
    np.testing.assert_array_equal(observation.values, layer.data)
    np.testing.assert_allclose(observation["y"], np.arange(20) * 0.5)
    np.testing.assert_allclose(observation["x"], np.arange(24) * 0.25)
    assert observation["x"].attrs["units"] == "nm"
    assert float(observation["bias"]) == 0.05
    assert observation.attrs["units"] == "S"


def test_a_lazy_stack_stays_lazy_and_gets_biases_in_volt() -> None:
    data = da.zeros((4, 6, 5), dtype=np.float32, chunks=(1, 6, 5))
    layer = Image(
        data, scale=(10, 2, 2), translate=(-20, 0, 0), units=("mV", "angstrom", "angstrom")
    )
    observation = observation_from_layer(layer)
    assert observation.chunks is not None
    np.testing.assert_allclose(observation["bias"], [-0.02, -0.01, 0.0, 0.01])
    assert float(observation["x"][1]) == pytest.approx(0.2)


def test_recorded_biases_come_before_the_uniform_axis() -> None:
    known = {METADATA_KEY: {"bias": [-0.1, 0.0, 0.4]}}
    layer = Image(np.zeros((3, 4, 4)), units=("V", "nm", "nm"), metadata=known)
    np.testing.assert_array_equal(observation_from_layer(layer)["bias"], [-0.1, 0.0, 0.4])


def test_whole_numbers_become_floating_point_without_loss() -> None:
    layer = Image(np.array([[1, 2**24 + 1], [3, 4]], dtype=np.int32))
    observation = observation_from_layer(layer)
    assert observation.dtype == np.float64
    assert observation.values[0, 1] == 2**24 + 1


def test_unsuitable_layers_are_refused_with_advice() -> None:
    with pytest.raises(LayerConversionError, match="Split RGB"):
        observation_from_layer(Image(np.zeros((4, 4, 3), np.uint8), rgb=True))
    with pytest.raises(LayerConversionError, match="Split Stack"):
        observation_from_layer(Image(np.zeros((2, 3, 4, 4))))
    with pytest.raises(LayerConversionError, match="not an image"):
        observation_from_layer(Labels(np.zeros((4, 4), int)))
    assert observation_from_layer(Image(np.zeros((1, 3, 4, 4)))).shape == (3, 4, 4)


def test_defects_go_to_points_and_back_over_a_rotated_image() -> None:
    image = map_layer()
    defects = Defects([[1.5, 2.25], [-3.0, 30.0]], ["vacancy", "adatom"], [1.0, 0.5])
    points = Layer.create(*points_from_defects(defects, image))
    carried = defects_from_points(points, image)
    np.testing.assert_allclose(carried.positions, defects.positions, atol=1e-9)
    np.testing.assert_array_equal(carried.kind, defects.kind)
    np.testing.assert_array_equal(carried.strength, defects.strength)
    np.testing.assert_allclose(
        points.data_to_world(points.data[0]), image.data_to_world(points.data[0])
    )
    assert defects_from_points(points) == defects
    assert not np.array_equal(points.face_color[0], points.face_color[1])


def test_points_placed_in_the_world_become_pixels_of_the_image() -> None:
    image = map_layer()
    world = [image.data_to_world((4.0, 7.5))]
    points = Points(world, units=("nm", "nm"))
    np.testing.assert_allclose(defects_from_points(points, image).positions, [[4.0, 7.5]])


def test_points_on_a_stack_lose_their_bias_axis_and_gaps_are_filled() -> None:
    points = Points([[2, 4, 5], [0, 1, 1]], features={"kind": ["a", None], "strength": [np.nan, 2]})
    defects = defects_from_points(points)
    np.testing.assert_array_equal(defects.positions, [[4, 5], [1, 1]])
    assert defects.kinds == ("a", "defect")
    np.testing.assert_array_equal(defects.strength, [1.0, 2.0])


def test_an_empty_table_gives_a_layer_to_click_into() -> None:
    points = Layer.create(*points_from_defects(Defects([]), map_layer()))
    points.add([[3, 4]])
    assert defects_from_points(points) == Defects([[3, 4]])


def test_labels_mark_what_does_not_count() -> None:
    labels = np.zeros((20, 24), int)
    labels[2:5, 3:6] = 7
    image = map_layer()
    counted = mask_from_layer(Labels(labels, **layer_geometry(image)), image)
    np.testing.assert_array_equal(counted, labels == 0)


def test_a_mask_that_lies_elsewhere_is_carried_over() -> None:
    image = Image(np.zeros((6, 6)), scale=(0.5, 0.5), translate=(1, 1), units=("nm", "nm"))
    marked = np.zeros((2, 8, 8), int)
    marked[1, 2, 3] = 1
    counted = mask_from_layer(Labels(marked, units=("V", "nm", "nm")), image)
    # The marked square nanometre around (2, 3) nm, in pixels of 0.5 nm from (1, 1) nm on. Both
    # images of the pixels half-way between two labels round to the even label.
    expected = np.ones((6, 6), bool)
    expected[1:4, 4] = False
    np.testing.assert_array_equal(counted, expected)


@pytest.mark.parametrize("shape_type", ["rectangle", "ellipse", "polygon"])
def test_shapes_exclude_their_inside(shape_type: str) -> None:
    image = map_layer()
    corners = np.array([[4, 4], [4, 12], [10, 12], [10, 4]])
    shapes = Shapes([corners], shape_type=shape_type, **layer_geometry(image))
    counted = mask_from_layer(shapes, image)
    assert not counted[7, 8]
    assert counted[2, 8]
    assert counted[7, 14]
    assert mask_from_layer(Shapes(**layer_geometry(image)), image).all()


def test_a_layer_that_can_not_exclude_is_refused() -> None:
    with pytest.raises(LayerConversionError, match="can not exclude"):
        mask_from_layer(Points([[1, 1]]), map_layer())


def test_result_layers_lie_over_and_beside_the_image(
    make_result: Callable[..., KernelResult],
) -> None:
    result, image = make_result(), map_layer(name="map")
    layers = {
        layer.name: layer for layer in (Layer.create(*d) for d in result_layers(result, image))
    }
    assert list(layers) == [
        f"{role} of map" for role in ("residual", "reconstruction", "std", "kernel")
    ]
    assert [layer.visible for layer in layers.values()] == [False, False, False, True]
    for role in ("residual", "reconstruction"):
        np.testing.assert_allclose(
            layers[f"{role} of map"].data_to_world((3, 4)), image.data_to_world((3, 4))
        )
    kernel = layers["kernel of map"]
    np.testing.assert_allclose(kernel.scale, image.scale)
    assert kernel.units == image.units
    column = np.linalg.solve(
        np.array(image.rotate) * image.scale, np.subtract(kernel.translate, image.translate)
    )
    assert column[0] == pytest.approx(0)
    assert column[1] >= image.data.shape[1]
    np.testing.assert_array_equal(kernel.data, result.kernel)
    assert kernel.contrast_limits[0] == -kernel.contrast_limits[1]


def test_every_kind_gets_a_kernel_of_its_own(make_result: Callable[..., KernelResult]) -> None:
    result = make_result(biases=np.array([0.0, 0.1, 0.2]), kinds=("vacancy", "adatom"))
    layers = [Layer.create(*data) for data in result_layers(result)]
    kernels = [layer for layer in layers if "kernel" in layer.name]
    assert [layer.name for layer in kernels] == ["kernel vacancy", "kernel adatom"]
    assert kernels[0].data.shape == (3, 7, 9)
    ends = kernels[0].data_to_world((0, 0, 8)), kernels[1].data_to_world((0, 0, 0))
    assert ends[0][2] < ends[1][2]
    assert kernels[0].data_to_world((2, 0, 0))[0] == pytest.approx(0.2)
    np.testing.assert_array_equal(kernels[1].data, result.kernel.sel(kind="adatom"))


def test_a_saved_result_opens_in_its_place(
    make_result: Callable[..., KernelResult], tmp_path: object
) -> None:
    image = map_layer()
    shown = [Layer.create(*data) for data in result_layers(make_result(), image)]
    path = result_of(shown[-1]).save(tmp_path / "kernel.nc")
    again = [Layer.create(*data) for data in result_layers(KernelResult.load(path))]
    for before, after in zip(shown, again, strict=True):
        np.testing.assert_allclose(after.data_to_world((1, 2)), before.data_to_world((1, 2)))
        assert after.name == before.name


def test_falling_biases_are_shown_rising(viewer: Viewer) -> None:
    biases = np.array([0.3, 0.1, -0.1])
    data = np.arange(3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5)
    scan = scan_dataset(
        [Channel("LI Demod", data, "S", "didv")],
        source="made", format="test", pixel_nm=(0.5, 0.5), bias=biases, scan_angle_deg=20,
    )  # fmt: skip
    (layer,) = add_layers(viewer, scan_layers(scan, "grid"))
    np.testing.assert_array_equal(layer.data, data[::-1])
    observation = observation_from_layer(layer)
    np.testing.assert_allclose(observation["bias"], biases[::-1])
    assert layer.metadata[METADATA_KEY]["bias_reversed"]
    torch.from_numpy(observation.values)

    viewer.dims.set_point(0, 0.1)
    np.testing.assert_array_equal(shown_plane(observation, layer, viewer), data[1])


def test_maps_stacks_points_and_kernels_keep_their_units_together(
    viewer: Viewer, make_result: Callable[..., KernelResult]
) -> None:
    stack = Image(
        np.zeros((3, 20, 24)), scale=(0.1, 0.5, 0.5), units=("V", "nm", "nm"), name="stack"
    )
    viewer.add_layer(stack)
    viewer.add_layer(map_layer())
    add_layers(viewer, result_layers(make_result(biases=np.array([0.0, 0.1, 0.2])), stack))
    add_layers(viewer, [points_from_defects(Defects([[1, 2]]), stack)])
    assert {str(unit) for layer in viewer.layers for unit in layer.units} == {"volt", "nanometer"}
    assert [str(unit) for unit in viewer.layers.extent.units] == ["volt", "nanometer", "nanometer"]


def test_contrast_ignores_outliers_and_gaps_and_reads_three_planes() -> None:
    values = np.random.default_rng(1).normal(size=(300, 300))
    values[0, 0], values[1, 1] = 1e9, np.nan
    low, high = colour_limits(values, signed=False)
    assert -4 < low < -2
    assert 2 < high < 4
    assert colour_limits(np.full((3, 3), np.nan), signed=False) == (0.0, 1.0)
    low, high = colour_limits(np.full((3, 3), 5.0), signed=False)
    assert low < 5 < high

    read = []

    def plane(block_info: dict) -> np.ndarray:
        read.append(block_info[None]["chunk-location"][0])
        return np.ones((1, 4, 4))

    lazy = da.map_blocks(
        plane, chunks=((1,) * 50, (4,), (4,)), dtype=float, meta=np.empty((0, 0, 0))
    )
    colour_limits(lazy, signed=False)
    assert sorted(set(read)) == [0, 24, 49]


@pytest.mark.parametrize("sign", [1, -1])
def test_signed_contrast_has_zero_in_the_middle_and_clips_little(sign: int) -> None:
    """A skewed kernel: its long tail sets the limits, not its short one."""
    values = sign * np.random.default_rng(1).exponential(size=(200, 200))
    low, high = colour_limits(values, signed=True)
    assert low == -high
    assert 0.005 < np.mean(np.abs(values) > high) < 0.015


def test_a_new_kernel_lies_beside_those_of_earlier_extractions(
    model: ViewerModel, make_result: Callable[..., KernelResult]
) -> None:
    image = model.add_image(np.zeros((20, 24)), name="map")
    elsewhere = model.add_image(np.zeros((20, 24)), name="other", translate=(50, 0))
    for result_of_image in (image, elsewhere, image):
        show_result(model, make_result(kinds=("a", "b")), result_of_image)
    first, second = (
        [layer for layer in model.layers if re.match(f"kernel [ab] of {name}", layer.name)]
        for name in ("map", "other")
    )
    assert len(first) == 4
    assert all(layer.visible for layer in (*first, *second))
    assert_apart([image, elsewhere, *first, *second])
    assert {layer.extent.world[0, 0] for layer in first} == {image.extent.world[0, 0]}
    show_side_by_side(model, {"average": make_result(), "bayes": make_result()}, image)
    assert_apart([layer for layer in model.layers if type_of(layer) == "image" and layer.visible])


def assert_apart(layers: list[Layer]) -> None:
    boxes = [layer.extent.world for layer in layers]
    for one, two in combinations(boxes, 2):
        assert (one[0] >= two[1]).any() or (two[0] >= one[1]).any()
