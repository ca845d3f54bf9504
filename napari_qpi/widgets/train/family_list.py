"""`FamilyList`: kernel families to tick."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QLabel, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

__all__ = ["FamilyList"]

_ROWS_SHOWN = 6


class FamilyList(QWidget):
    """A list of families; the ticked ones are left out of training.

    Attributes
    ----------
    changed : Signal()
        A tick was set or taken away.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._offered: list[str] = []
        self.list = QListWidget()
        self.list.setToolTip(
            "<qt>Ticked families are left out of training, to see later how the model does on "
            "kernels of a kind that it never saw.</qt>"
        )
        self.list.setMaximumHeight(_ROWS_SHOWN * self.list.fontMetrics().height() * 2)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(QLabel("Leave out of training:"))
        column.addWidget(self.list)
        self.list.itemChanged.connect(self.changed)

    def offer(self, families: Sequence[str]) -> None:
        """List families; those that are ticked stay so."""
        self._offered = list(families)
        self.set_value(self.value())

    def value(self) -> tuple[str, ...]:
        """Return the ticked families."""
        return tuple(
            str(item.data(Qt.ItemDataRole.UserRole))
            for item in self._items()
            if item.checkState() == Qt.CheckState.Checked
        )

    def set_value(self, families: Sequence[str]) -> None:
        """Tick these and no others."""
        blocked = self.list.blockSignals(True)
        self.list.clear()
        for name in dict.fromkeys([*self._offered, *families]):
            item = QListWidgetItem(name.replace("_", " "))
            item.setData(Qt.ItemDataRole.UserRole, name)
            ticked = Qt.CheckState.Checked if name in families else Qt.CheckState.Unchecked
            item.setCheckState(ticked)
            self.list.addItem(item)
        self.list.blockSignals(blocked)
        self.changed.emit()

    def _items(self) -> list[QListWidgetItem]:
        items = (self.list.item(row) for row in range(self.list.count()))
        return [item for item in items if item is not None]
