"""The line on an image: what dragging its ends says, at an angle and with oblong pixels."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from napari.components import ViewerModel
from napari.layers import Image

from napari_qpi.widgets.inspect.in_viewer.line_layer import LINE_NAME, LineLayer
from shared.mouse import drag

PLACED = {"scale": (0.25, 0.4), "rotate": 30.0, "translate": (5.0, -7.0), "units": ("nm", "nm")}
FIRST = np.array([-3.0, 2.0])
STEP = np.array([0.25, 0.4])


@pytest.fixture
def image(model: ViewerModel) -> Image:
    """Return a turned image with oblong pixels, whose array begins at (-3, 2)."""
    return model.add_image(np.zeros((40, 50), np.float32), **PLACED)


@pytest.fixture
def array() -> xr.DataArray:
    """Return what the image shows."""
    axes = {
        axis: first + step * np.arange(size)
        for axis, size, first, step in zip("yx", (40, 50), FIRST, STEP, strict=True)
    }
    return xr.DataArray(np.zeros((40, 50)), dims=("y", "x"), coords=axes)


def drag_end(line: LineLayer, image: Image, end: int, pixel: tuple[float, float]) -> None:
    """Drag an end of the line with the mouse to a pixel of the image."""
    layer = line.layer
    assert layer is not None
    drag(layer, layer.data_to_world(layer.data[-1][end]), image.data_to_world(pixel))


def test_a_dragged_end_is_told_in_the_coordinates_of_the_array(
    model: ViewerModel, image: Image, array: xr.DataArray
) -> None:
    line, told = LineLayer(model), []
    line.moved.connect(lambda start, stop: told.append((start, stop)))
    start, stop = FIRST + STEP * (10, 5), FIRST + STEP * (30, 45)
    line.show(image, array, tuple(start), tuple(stop))
    assert not told
    model.add_image(np.zeros((4, 4)), name="later")
    line.grab()
    assert model.layers[-1] is line.layer  # else others would cover its ends
    drag_end(line, image, 1, (8.0, 20.0))
    assert len(told) >= 2  # during the drag, too
    np.testing.assert_allclose(told[-1], [start, FIRST + STEP * (8, 20)], atol=1e-5)
    halfway = FIRST + STEP * (19, 32.5)
    np.testing.assert_allclose(told[0][1], halfway, atol=1e-5)


def test_a_moved_layer_is_told_by_where_it_lies(
    model: ViewerModel, image: Image, array: xr.DataArray
) -> None:
    line, told = LineLayer(model), []
    line.moved.connect(lambda start, stop: told.append((start, stop)))
    line.show(image, array, (-1.0, 4.0), (2.0, 10.0))
    layer = line.layer
    assert layer is not None
    layer.translate = (
        layer.translate
        + np.array(image.data_to_world((2, 3)))
        - np.array(image.data_to_world((0, 0)))
    )
    layer.data = [(layer.data[0], "line")]
    np.testing.assert_allclose(told[-1][0], np.array([-1.0, 4.0]) + STEP * (2, 3), atol=1e-5)


def test_the_line_leaves_the_selection_alone_and_goes(
    model: ViewerModel, image: Image, array: xr.DataArray
) -> None:
    line = LineLayer(model)
    model.layers.selection.active = image
    line.show(image, array, (-1.0, 4.0), (2.0, 10.0))
    assert model.layers.selection.active is image
    assert LINE_NAME in model.layers
    model.layers.remove(LINE_NAME)
    assert line.layer is None
    line.show(image, array, (-1.0, 4.0), (2.0, 10.0))
    line.grab()
    assert model.layers.selection.active is line.layer
    line.hide()
    assert list(model.layers) == [image]
    assert model.layers.selection.active is image
