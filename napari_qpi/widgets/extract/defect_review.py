"""`DefectReview`: asks for proposals of defects and takes them over into the marked ones."""

from __future__ import annotations

from collections.abc import Callable

import napari
import numpy as np
from napari.layers import Points
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget

from napari_qpi.layers.conversion import LayerData, add_layers, defects_from_points
from napari_qpi.layers.defect_points import DefectPoints
from napari_qpi.tasks.defect_review import (
    Proposals,
    ProposalSearch,
    doubtful_layer,
    proposed_layer,
)
from napari_qpi.tasks.extraction import ExtractionInput
from napari_qpi.widgets.common.points_history import history_of
from qpi_kernels.defects import Defects
from qpi_kernels.result import KernelResult

__all__ = ["DefectReview"]

_SAME_PX = 0.5


class DefectReview(QWidget):
    """Buttons around the proposals of the last extraction.

    Parameters
    ----------
    viewer : napari.Viewer
        Gets the points layers.

    Attributes
    ----------
    status : Signal(str)
        What was done, for display.
    """

    status = Signal(str)

    def __init__(self, viewer: napari.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._task: ExtractionInput | None = None
        self._result: KernelResult | None = None
        self._marked: Points | None = None
        self._busy = False
        self.proposed: Points | None = None
        self.doubtful: Points | None = None
        self.propose_button = QPushButton("Propose defects")
        self.propose_button.setToolTip(
            "<qt>Look in the residual of the last extraction for defects that were not marked, and "
            "among the marked ones for those of which hardly anything shows. Both are shown as "
            "points; the marked ones stay as they are.</qt>"
        )
        self.accept_button = QPushButton("Accept")
        self.accept_button.setToolTip(
            "<qt>Add the proposed defects (green crosses) to the marked ones: those that are "
            "selected, or all when none is. Delete points that you do not believe first.</qt>"
        )
        self.remove_button = QPushButton("Remove doubtful")
        self.remove_button.setToolTip(
            "<qt>Remove from the marked defects those under a red x: those that are selected, or "
            "all when none is.</qt>"
        )
        self.undo_button = QPushButton("Undo")
        self.undo_button.setToolTip("<qt>Take back the last change of the marked defects.</qt>")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(self.propose_button, 0, 0, 1, 3)
        grid.addWidget(self.accept_button, 1, 0)
        grid.addWidget(self.remove_button, 1, 1)
        grid.addWidget(self.undo_button, 1, 2)
        self.accept_button.clicked.connect(self.accept)
        self.remove_button.clicked.connect(self.remove_doubtful)
        self.undo_button.clicked.connect(self.undo)
        viewer.layers.events.removed.connect(self._refresh)
        self._refresh()

    def disconnect_events(self) -> None:
        """Disconnect from the viewer."""
        self._viewer.layers.events.removed.disconnect(self._refresh)

    def show_busy(self, busy: bool) -> None:
        """Follow whether a computation is under way."""
        self._busy = busy
        self._refresh()

    def show_result(
        self, task: ExtractionInput, result: KernelResult, marked: Points | None
    ) -> None:
        """Take an extraction to propose defects from, and the layer that its defects are in."""
        self._task, self._result, self._marked = task, result, marked
        if marked is not None:
            history_of(marked).stack.indexChanged.connect(self._refresh)
        self._refresh()

    def clear(self) -> None:
        """Forget the extraction; proposals that are shown stay as layers."""
        self._task = self._result = self._marked = None
        self.proposed = self.doubtful = None
        self._refresh()

    def search(self) -> Callable[[], ProposalSearch] | None:
        """Give what makes the search, for a job; None without an extraction."""
        task, result = self._task, self._result
        if task is None or result is None:
            return None
        return lambda: ProposalSearch(task, result)

    def show_proposals(self, proposals: Proposals) -> None:
        """Show what a search found in place of earlier proposals."""
        if self._task is None or self._result is None:
            return
        for layer in (self.proposed, self.doubtful):
            if layer is not None and layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        missed, spurious = len(proposals.missed), len(proposals.spurious)
        self.doubtful = self.proposed = None
        if spurious:
            self.doubtful = self._add(doubtful_layer(proposals, self._task, self._result))
        if missed:
            self.proposed = self._add(proposed_layer(proposals, self._task))
        self.status.emit(
            f"Proposed: {missed} (green). Doubtful among the marked ones: {spurious} (red)."
        )
        self._refresh()

    def accept(self) -> None:
        """Add the selected proposals, or all, to the marked defects."""
        marked, defects = self._marked_points(), self._chosen(self.proposed)
        if marked is None or self._task is None or self.proposed is None or not len(defects):
            return
        with history_of(marked.layer).change("accept proposals"):
            marked.add(defects, self._task.image)
        self._remove_used(self.proposed, marked)
        self.status.emit(f"{defects.in_words()} added. Extract again to use what is marked now.")

    def remove_doubtful(self) -> None:
        """Remove the marked defects under the selected doubtful points, or under all."""
        marked, doubtful = self._marked_points(), self._chosen(self.doubtful)
        if marked is None or self._task is None or self.doubtful is None or not len(doubtful):
            return
        rows = _same_rows(marked.defects(self._task.image), doubtful)
        with history_of(marked.layer).change("remove doubtful"):
            marked.remove(rows)
        self._remove_used(self.doubtful, marked)
        self.status.emit(
            f"{doubtful[: len(rows)].in_words()} removed. Extract again to do without."
        )

    def undo(self) -> None:
        """Take the last change of the marked defects back."""
        if self._marked is not None:
            history_of(self._marked).undo()
            self.status.emit("The last change of the marked defects was taken back.")

    def _add(self, data: LayerData) -> Points:
        (layer,) = add_layers(self._viewer, [data])
        layer.mode = "select"
        self._viewer.layers.selection.active = layer
        return layer

    def _marked_points(self) -> DefectPoints | None:
        if self._marked is None or self._marked not in self._viewer.layers:
            self.status.emit("The layer of marked defects was removed; nothing was changed.")
            return None
        return DefectPoints(self._marked)

    def _chosen(self, layer: Points | None) -> Defects:
        if layer is None or self._task is None:
            return Defects(np.zeros((0, 2)))
        return defects_from_points(layer, self._task.image)[_chosen_rows(layer)]

    def _remove_used(self, proposals: Points, marked: DefectPoints) -> None:
        """Remove the proposals that were taken over, and go on with the marked defects."""
        keep = np.setdiff1d(np.arange(len(proposals.data)), _chosen_rows(proposals))
        if len(keep):
            proposals.remove_selected()
        else:
            self._viewer.layers.remove(proposals)
        self._viewer.layers.selection.active = marked.layer
        self._refresh()

    def _refresh(self, event: object = None) -> None:
        """Forget suggestions whose layers were removed, and enable what is possible now."""
        layers = self._viewer.layers
        if self.proposed is not None and self.proposed not in layers:
            self.proposed = None
        if self.doubtful is not None and self.doubtful not in layers:
            self.doubtful = None
        self.propose_button.setEnabled(self._result is not None and not self._busy)
        self.accept_button.setEnabled(self.proposed is not None and not self._busy)
        self.remove_button.setEnabled(self.doubtful is not None and not self._busy)
        undoable = self._marked in layers and history_of(self._marked).stack.canUndo()
        self.undo_button.setEnabled(undoable and not self._busy)


def _chosen_rows(layer: Points) -> np.ndarray:
    return np.array(sorted(layer.selected_data) or range(len(layer.data)), dtype=int)


def _same_rows(defects: Defects, wanted: Defects) -> list[int]:
    """Rows of defects that lie where the wanted ones do; they may have been edited meanwhile."""
    if not len(defects):
        return []
    rows = set()
    for position in wanted.positions:
        away = np.hypot(*(defects.positions - position).T)
        if away.min() < _SAME_PX:
            rows.add(int(away.argmin()))
    return sorted(rows)
