"""Undo and redo of a Points layer, without a window."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from napari.layers import Points
from pytestqt.qtbot import QtBot

from napari_qpi.layers.defect_points import DefectPoints
from napari_qpi.widgets.common.points_history import PointsHistory, history_of


@pytest.fixture
def layer(qtbot: QtBot) -> Points:
    return Points(np.array([[1.0, 2.0], [3.0, 4.0]]), ndim=2)


def positions(layer: Points) -> list[list[float]]:
    return np.asarray(layer.data).tolist()


def test_every_edit_by_hand_is_taken_back_and_made_again(layer: Points) -> None:
    history = history_of(layer)
    layer.add([[5.0, 6.0]])
    layer.selected_data = {0}
    layer.remove_selected()
    layer.data = layer.data + 1
    assert [history.stack.text(i) for i in range(3)] == [
        "add points",
        "delete points",
        "move points",
    ]
    history.undo()
    assert positions(layer) == [[3, 4], [5, 6]]
    history.undo()
    assert positions(layer) == [[1, 2], [3, 4], [5, 6]]
    history.undo()
    assert positions(layer) == [[1, 2], [3, 4]]
    assert not history.stack.canUndo()
    for _ in range(3):
        history.redo()
    assert positions(layer) == [[4, 5], [6, 7]]
    assert not history.stack.canRedo()


def test_a_drag_is_one_change(layer: Points) -> None:
    history = history_of(layer)
    layer.selected_data = {1}
    # As napari's select tool does it: nothing is told of the data until the mouse is released.
    layer._set_drag_start({1}, (3.0, 4.0))
    with layer.events.data.blocker():
        for step in (1, 2, 3):
            layer._move({1}, (3.0 + step, 4.0))
    layer._move({1}, (7.0, 4.0))
    assert history.stack.count() == 1
    assert positions(layer) == [[1, 2], [7, 4]]
    history.undo()
    assert positions(layer) == [[1, 2], [3, 4]]


def test_kinds_and_their_colours_come_back(layer: Points) -> None:
    history, points = history_of(layer), DefectPoints(layer)
    with history.change("add kind"):
        name = points.add_kind()
    with history.change("assign"):
        points.assign([1], name)
    before = layer.face_color.copy()
    with history.change("recolour"):
        points.recolour(name, "#123456")
    history.undo()
    np.testing.assert_array_equal(layer.face_color, before)
    history.undo()
    assert list(layer.features["kind"]) == ["defect", "defect"]
    history.undo()
    assert list(points.kinds) == ["defect"]
    assert points.current_kind == "defect"


def test_undoing_all_points_and_redoing(qtbot: QtBot) -> None:
    layer = Points(ndim=2)
    history = history_of(layer)
    layer.add([[1.0, 1.0]])
    layer.add([[2.0, 2.0]])
    history.undo()
    history.undo()
    assert positions(layer) == []
    history.redo()
    history.redo()
    assert positions(layer) == [[1, 1], [2, 2]]
    assert list(layer.features["kind"]) == ["defect", "defect"]


def test_a_change_that_changes_nothing_is_not_recorded(layer: Points) -> None:
    history = history_of(layer)
    with history.change("snap"):
        layer.data = layer.data.copy()
    assert not history.stack.canUndo()


def test_an_edit_that_napari_does_not_tell_of_is_kept_apart(layer: Points) -> None:
    history = history_of(layer)
    layer.selected_data = {0}
    layer._copy_data()
    layer._paste_data()
    with history.change("snap"):
        layer.data = layer.data + 1
    history.undo()
    assert positions(layer) == [[1, 2], [3, 4], [1, 2]]
    history.undo()
    assert positions(layer) == [[1, 2], [3, 4]]


def test_two_hundred_changes_are_kept(layer: Points) -> None:
    history = history_of(layer)
    for step in range(205):
        layer.data = np.array([[float(step), 0.0]])
    assert history.stack.count() == 200


def test_a_layer_has_one_history_that_does_not_keep_it_alive(qtbot: QtBot) -> None:
    layer = Points(np.zeros((1, 2)))
    history = weakref.ref(history_of(layer))
    assert history() is history_of(layer)
    assert isinstance(history(), PointsHistory)
    layer.add([[1.0, 1.0]])
    gone = weakref.ref(layer)
    del layer
    gc.collect()
    assert gone() is None
    assert history() is None
