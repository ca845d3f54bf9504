"""Undo and redo of the list of steps, and of runs with the layers that they added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtGui import QUndoCommand  # type: ignore[attr-defined]

from napari_qpi.widgets.common.undo_command import RecordedChange
from napari_qpi.widgets.prepare.step_list import ListedStep, StepList

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

__all__ = ["ListChange", "Run"]

_LIST = 1


class ListChange(RecordedChange):
    """A change of the list; further entries into the same steps count as the same change.

    Parameters
    ----------
    steps : StepList
        The list.
    before, after : sequence of (Step, bool)
        What it showed and what it shows.
    """

    def __init__(
        self, steps: StepList, before: Sequence[ListedStep], after: Sequence[ListedStep]
    ) -> None:
        super().__init__("change of steps")
        self._steps, self._before, self._after = steps, tuple(before), tuple(after)

    def id(self) -> int:
        """Let Qt offer a following change for merging."""
        return _LIST

    def mergeWith(self, other: QUndoCommand | None) -> bool:  # noqa: N802 - Qt's name
        """Take in a change of parameters after a change of parameters."""
        if not isinstance(other, ListChange):
            return False
        kinds = {tuple(type(step) for step, _ in each) for each in (self._before, other._after)}
        switches = {tuple(on for _, on in each) for each in (self._before, other._after)}
        if len(kinds) > 1 or len(switches) > 1:
            return False
        self._after = other._after
        return True

    def make(self) -> None:
        """List the steps as they were after the change."""
        self._steps.listed = self._after

    def take_back(self) -> None:
        """List the steps as they were before the change."""
        self._steps.listed = self._before


class Run(RecordedChange):
    """A run, with the layers that it added and those that it hid.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    added : list of napari.layers.Layer
        Layers of the result.
    hidden : list of napari.layers.Layer
        Layers that the result made invisible.
    """

    def __init__(
        self, viewer: ViewerModel, added: Sequence[Layer], hidden: Sequence[Layer]
    ) -> None:
        super().__init__("preparation")
        self._viewer, self._added, self._hidden = viewer, list(added), list(hidden)

    def make(self) -> None:
        """Add the layers again."""
        self._viewer.layers.extend(
            layer for layer in self._added if layer not in self._viewer.layers
        )
        for layer in self._hidden:
            layer.visible = False

    def take_back(self) -> None:
        """Remove what the run added, and show what it hid."""
        for layer in self._added:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        for layer in self._hidden:
            layer.visible = True
