"""The layer that a combo of images takes by itself, in a viewer without a window."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from napari.layers import Image
from pytestqt.qtbot import QtBot

from napari_qpi.layers.conversion import MASK, METADATA_KEY, image_id
from napari_qpi.layers.result import show_result
from napari_qpi.widgets.common.layer_combo import LayerCombo, MaskCombo, is_map
from qpi_kernels.result import KernelResult

if TYPE_CHECKING:
    from napari.components import ViewerModel

MakeCombo = Callable[[], LayerCombo]


@pytest.fixture
def make_combo(qtbot: QtBot, model: ViewerModel) -> MakeCombo:
    def make() -> LayerCombo:
        combo = LayerCombo(model.layers, is_map, placeholder="none")
        qtbot.addWidget(combo)
        return combo

    return make


def add(model: ViewerModel, name: str, **arguments: Any) -> Image:
    return model.add_image(np.zeros((8, 8)), name=name, **arguments)


def open_file(model: ViewerModel, stem: str) -> Image:
    """Add channels as napari does, the bottom first."""
    for name in ("backward", "current"):
        add(model, f"{stem} {name}", visible=False)
    add(model, f"{stem} topography")
    return add(model, f"{stem} dI/dV")


def test_of_a_file_the_topmost_visible_channel(model: ViewerModel, make_combo: MakeCombo) -> None:
    combo = make_combo()
    assert combo.layer is None
    first = open_file(model, "a")
    assert combo.layer is first
    assert combo.currentText() == "a dI/dV"
    second = open_file(model, "b")
    assert combo.layer is second
    add(model, "hidden", visible=False)
    assert combo.layer is second


@pytest.mark.parametrize("by_mouse", [True, False])
def test_a_choice_by_hand_stays(model: ViewerModel, make_combo: MakeCombo, by_mouse: bool) -> None:
    combo, wanted = make_combo(), open_file(model, "a")
    open_file(model, "b")
    if by_mouse:
        combo.activated.emit(combo.findText(wanted.name))
    else:
        combo.layer = wanted
    last = open_file(model, "c")
    assert combo.layer is wanted
    model.layers.remove(wanted)
    assert combo.layer is last


def test_results_are_no_default(
    model: ViewerModel, make_combo: MakeCombo, make_result: Callable[..., KernelResult]
) -> None:
    image, opened_before = open_file(model, "a"), make_combo()
    show_result(model, make_result(), image)
    kernel = model.layers[-1]
    model.layers.selection.active = kernel
    assert make_combo().layer is opened_before.layer is image
    reopened = add(model, "saved", metadata={METADATA_KEY: {"role": "kernel"}})
    model.layers.selection.active = reopened
    assert make_combo().layer is opened_before.layer is image
    for layer in [each for each in model.layers if each.name.startswith("a ")]:
        model.layers.remove(layer)
    assert make_combo().layer is not None
    image = add(model, "hidden", visible=False)
    assert make_combo().layer is opened_before.layer is image


def test_the_active_image_is_the_default(model: ViewerModel, make_combo: MakeCombo) -> None:
    first = add(model, "first")
    add(model, "second")
    model.layers.selection.active = first
    assert make_combo().layer is first


def test_the_tooltip_has_the_whole_name(model: ViewerModel, make_combo: MakeCombo) -> None:
    combo = make_combo()
    combo.setToolTip("<qt>What it is for.</qt>")
    layer = add(model, "a <long> name")
    assert combo.toolTip() == "<qt>a &lt;long&gt; name<br>What it is for.</qt>"
    layer.name = "other"
    assert combo.toolTip().startswith("<qt>other<br>")


def test_a_declined_mask_stays_declined(
    qtbot: QtBot, model: ViewerModel, make_combo: MakeCombo
) -> None:
    image = add(model, "first")
    masks = MaskCombo(model.layers, make_combo())
    qtbot.addWidget(masks)
    made = {METADATA_KEY: {"role": MASK, "image": image_id(image)}}
    mask = model.add_labels(np.ones((8, 8), int), metadata=made)
    assert masks.layer is mask
    masks.activated.emit(0)
    model.add_labels(np.ones((8, 8), int))
    assert masks.layer is None
