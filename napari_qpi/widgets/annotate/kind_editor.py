"""`KindEditor`: the kinds of the chosen defects, to be added, renamed, recoloured and assigned."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_qpi.layers.defect_points import DefectPoints, KindError
from napari_qpi.widgets.annotate.kind_table import KindTable
from napari_qpi.widgets.common.points_history import history_of

__all__ = ["KindEditor"]


class KindEditor(QWidget):
    """Edit the kinds of one layer of defects; every edit can be undone.

    Attributes
    ----------
    table : KindTable
        The kinds.
    edited : Signal()
        Kinds or their points were changed.
    status : Signal(str)
        Text for display.
    """

    edited = Signal()
    status = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._points: DefectPoints | None = None
        self.table = KindTable()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.table)
        self.table.chosen.connect(self._choose)
        self.table.added.connect(self._add)
        self.table.removed.connect(self._remove)
        self.table.renamed.connect(self._rename)
        self.table.recoloured.connect(self._recolour)
        self.table.assigned.connect(self._assign)

    def show_points(self, points: DefectPoints | None) -> None:
        """Show the kinds of a layer, or none."""
        self._points = points
        if points is None:
            self.table.show_kinds({}, {}, "")
        else:
            points.complete()
            self.table.show_kinds(points.kinds, points.counts(), points.current_kind)

    def _choose(self, kind: str) -> None:
        if self._points is not None and kind:
            self._points.current_kind = kind

    def _add(self) -> None:
        self._change("add kind", lambda points: points.add_kind())

    def _rename(self, old: str, new: str) -> None:
        self._change(f"rename {old}", lambda points: points.rename_kind(old, new))

    def _recolour(self, kind: str, colour: str) -> None:
        self._change(f"recolour {kind}", lambda points: points.recolour(kind, colour))

    def _remove(self, kind: str) -> None:
        count = 0 if self._points is None else self._points.counts().get(kind, 0)
        if self._change(f"remove {kind}", lambda points: points.remove_kind(kind)):
            self.status.emit(f"Removed the kind {kind!r} with its {count} points.")

    def _assign(self, kind: str) -> None:
        selected = [] if self._points is None else sorted(self._points.layer.selected_data)
        if not selected:
            self.status.emit("Select points first: press 3 and drag around them.")
        elif self._change(f"assign {kind}", lambda points: points.assign(selected, kind)):
            self.status.emit(f"{len(selected)} points are {kind!r} now.")

    def _change(self, words: str, change: Callable[[DefectPoints], object]) -> bool:
        """Make a change that can be undone; return whether it was possible."""
        if self._points is None:
            return False
        possible = True
        try:
            with history_of(self._points.layer).change(words):
                change(self._points)
        except KindError as error:
            possible = False
            self.status.emit(f"{error}.")
        self.edited.emit()
        return possible
