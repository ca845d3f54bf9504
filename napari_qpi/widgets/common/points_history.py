"""`PointsHistory`: undo and redo of every change of one layer of defects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary, ref

from napari.layers import Points
from napari.layers.base import ActionType
from qtpy.QtGui import QUndoStack

from napari_qpi.layers.defect_points import DefectPoints, Snapshot
from napari_qpi.widgets.common.undo_command import RecordedChange

__all__ = ["PointsHistory", "history_of"]

_MAX_CHANGES = 200
_WORDS = {
    ActionType.ADDED: "add points",
    ActionType.REMOVED: "delete points",
    ActionType.CHANGED: "move points",
}

_histories: WeakKeyDictionary[Points, PointsHistory] = WeakKeyDictionary()


def history_of(layer: Points) -> PointsHistory:
    """Return the one history of a layer, which every dock on the layer shares."""
    if layer not in _histories:
        _histories[layer] = PointsHistory(layer)
    return _histories[layer]


class PointsHistory:
    """Record clicks, deletions, moves, kinds and automatic changes of a Points layer.

    ``Ctrl+Z`` and ``Ctrl+Shift+Z`` on the layer take a change back and make it again. The last 200
    changes are kept, for as long as the layer lives. Not recorded: the look and the place of the
    layer, its removal from the viewer, and the kind chosen for the next click.

    Parameters
    ----------
    layer : napari.layers.Points
        It is only referred to weakly.

    Attributes
    ----------
    stack : QUndoStack
        The changes.
    """

    def __init__(self, layer: Points) -> None:
        self.stack = QUndoStack()
        self.stack.setUndoLimit(_MAX_CHANGES)
        self._layer = ref(layer)
        self._recording = True
        self._latest = DefectPoints(layer).snapshot()
        layer.events.data.connect(self._on_data)
        layer.events.features.connect(self._on_features)
        # napari's own bindings come first, so that these are not lost to a later one.
        layer.bind_key("Control-Z", lambda _: self.undo(), overwrite=True)
        layer.bind_key("Control-Shift-Z", lambda _: self.redo(), overwrite=True)

    @contextmanager
    def change(self, words: str) -> Iterator[None]:
        """Record all that happens to the layer meanwhile as one change."""
        self._record(_WORDS[ActionType.CHANGED])
        self._recording = False
        try:
            yield
        finally:
            self._recording = True
            self._record(words)

    def undo(self) -> None:
        """Take the last change back."""
        self._record(_WORDS[ActionType.CHANGED])
        self.stack.undo()

    def redo(self) -> None:
        """Make the change again that was taken back last."""
        self.stack.redo()

    def show(self, snapshot: Snapshot) -> None:
        """Give the layer the points and kinds of a snapshot, without recording a change."""
        layer = self._layer()
        if layer is None:
            return
        self._recording = False
        try:
            DefectPoints(layer).restore(snapshot)
        finally:
            self._recording = True
        self._latest = DefectPoints(layer).snapshot()

    def _record(self, words: str) -> None:
        """Record a change if there was one since the last that is recorded."""
        layer = self._layer()
        if layer is None or not self._recording:
            return
        before, after = self._latest, Snapshot.of(layer)
        if after.same_as(before):
            return
        self._latest = after
        self.stack.push(_Change(words, self, before, after))

    def _on_data(self, event: object) -> None:
        words = _WORDS.get(getattr(event, "action", None))
        if words is not None:
            self._record(words)

    def _on_features(self, event: object = None) -> None:
        layer = self._layer()
        # While points are dragged their features are announced at every move of the mouse.
        if layer is not None and self._latest.same_positions(layer):
            self._record("change kinds")


class _Change(RecordedChange):
    """One change, as the points before and after it."""

    def __init__(
        self, words: str, history: PointsHistory, before: Snapshot, after: Snapshot
    ) -> None:
        super().__init__(words)
        self._history = ref(history)
        self._before, self._after = before, after

    def make(self) -> None:
        """Show the points as they were after the change."""
        self._show(self._after)

    def take_back(self) -> None:
        """Show the points as they were before the change."""
        self._show(self._before)

    def _show(self, snapshot: Snapshot) -> None:
        history = self._history()
        if history is not None:
            history.show(snapshot)
