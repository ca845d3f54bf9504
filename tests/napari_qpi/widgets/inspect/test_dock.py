"""The Inspect dock: which arrays it looks at, and its bias, which is also the viewer's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from napari_qpi.layers.conversion import add_layers
from napari_qpi.layers.result import show_result
from napari_qpi.tasks.inspection.state import bias_in_words
from napari_qpi.widgets.inspect.dock import Inspect
from qpi_kernels.result import KernelResult
from shared.docks import PLACED, open_dock

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image

BIASES = np.array([-0.1, 0.0, 0.05, 0.2])
STACKED = {
    "scale": (0.1, *PLACED["scale"]),
    "translate": (-0.1, *PLACED["translate"]),
    "rotate": [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]],
    "units": ("V", "nm", "nm"),
    "axis_labels": ("bias", "y", "x"),
}


def add_stack(viewer: Viewer, name: str = "grid") -> Image:
    """Add a grid over unevenly spaced biases, on a rotated frame with oblong pixels."""
    random = np.random.default_rng(3)
    return viewer.add_image(
        random.normal(size=(len(BIASES), 20, 24)).astype(np.float32),
        name=name,
        metadata={"napari_qpi": {"role": "channel", "bias": BIASES.tolist(), "units": "S"}},
        **STACKED,
    )


def open_inspect(qtbot: QtBot, viewer: Viewer) -> Inspect:
    """Open the dock, its layers copied."""
    dock = open_dock(viewer, "Inspect", Inspect)
    settle(qtbot, dock)
    return dock


def settle(qtbot: QtBot, dock: Inspect) -> None:
    """Wait until the layers are copied."""
    qtbot.waitUntil(lambda: not dock._refresh_timer.isActive())


def test_one_bias_for_the_viewer_the_slider_and_every_array(
    qtbot: QtBot, viewer: Viewer, make_result: Callable[..., KernelResult]
) -> None:
    image = add_stack(viewer)
    # Of some of the planes only, from the highest bias down.
    show_result(viewer, make_result(biases=BIASES[:1:-1]), image)
    dock = open_inspect(qtbot, viewer)
    inspection = dock.inspection
    dock.energy_slider.slider.setValue(3)
    assert inspection.bias == 0.2
    assert round(float(image.world_to_data(viewer.dims.point)[0])) == 3
    for role in ("map", "kernel", "residual"):
        plane = inspection.plane(role)
        assert plane is not None
        assert float(plane["bias"]) == 0.2
    viewer.dims.set_point(0, image.data_to_world((0, 0, 0))[0])
    assert (inspection.bias, dock.energy_slider.slider.value()) == (-0.1, 0)
    kernel = inspection.plane("kernel")
    assert kernel is not None
    assert float(kernel["bias"]) == 0.05
    np.testing.assert_array_equal(inspection.plane("map"), image.data[0])
    assert inspection.title("map") == "grid, -0.1 V"


def test_arrays_stay_when_their_layers_are_removed(
    qtbot: QtBot, viewer: Viewer, make_result: Callable[..., KernelResult]
) -> None:
    image = viewer.add_image(np.ones((20, 24), np.float32), name="map", **PLACED)
    result = make_result()
    show_result(viewer, result, image)
    dock = open_inspect(qtbot, viewer)
    other = viewer.add_image(np.zeros((20, 24), np.float32), name="other", **PLACED)
    dock.map_choice.layer = image
    settle(qtbot, dock)
    viewer.layers.remove(image)
    settle(qtbot, dock)
    data = dock.inspection.data
    assert (data.map.name, float(data.map.image.max())) == ("map", 1.0)  # type: ignore[union-attr]
    assert dock.inspection.map_layer is None
    assert dock.map_choice.currentText() == "removed: map"
    viewer.layers.remove(viewer.layers["kernel of map"])
    settle(qtbot, dock)
    assert dock.inspection.data.kernel.image is not None
    dock.map_choice.layer = other
    settle(qtbot, dock)
    assert dock.inspection.data.map.name == "other"


def test_a_kernel_alone_shows_the_map_that_it_was_extracted_from(
    qtbot: QtBot, viewer: Viewer, make_result: Callable[..., KernelResult]
) -> None:
    from napari_qpi.layers.result import result_layers

    result = make_result(kinds=("adatom", "vacancy"))
    add_layers(viewer, result_layers(result))
    dock = open_inspect(qtbot, viewer)
    data = dock.inspection.data
    assert data.kernel.kind == "vacancy"
    np.testing.assert_array_equal(data.kernel.image, result.kernel[1])  # type: ignore[arg-type]
    np.testing.assert_allclose(data.map.image, result.reconstruction + result.residual)  # type: ignore[arg-type]


def test_changed_numbers_of_a_layer_are_taken(qtbot: QtBot, viewer: Viewer) -> None:
    image = viewer.add_image(np.zeros((20, 24), np.float32), name="map", **PLACED)
    dock = open_inspect(qtbot, viewer)
    with qtbot.waitSignal(dock._refresh_timer.timeout):
        image.data = np.ones((20, 24), np.float32)
    plane = dock.inspection.plane("map")
    assert plane is not None
    assert float(plane.mean()) == 1.0
    np.testing.assert_allclose([plane["y"][1], plane["x"][1]], [0.5, 0.25])


def test_pixels_left_out_come_with_the_map(qtbot: QtBot, viewer: Viewer) -> None:
    image = viewer.add_image(np.zeros((20, 24), np.float32), name="map", **PLACED)
    labels = np.zeros((20, 24), np.uint8)
    labels[:5] = 1
    excluded = viewer.add_labels(labels, name="step", **PLACED)
    dock = open_inspect(qtbot, viewer)
    assert image is dock.inspection.map_layer
    dock.mask_choice.layer = excluded
    settle(qtbot, dock)
    data = dock.inspection.data
    assert data.map.mask is not None
    np.testing.assert_array_equal(data.map.mask, labels == 0)


@pytest.mark.parametrize(
    ("bias", "words"), [(-0.0007874, "-0.7874 mV"), (0.05, "+0.05 V"), (0.0, "+0 V")]
)
def test_small_biases_are_written_in_mv(bias: float, words: str) -> None:
    assert bias_in_words(bias, "V") == words
