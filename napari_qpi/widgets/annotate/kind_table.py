"""`KindTable`: the kinds of defects with their colours and counts."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

__all__ = ["KindTable"]

_COLOUR, _NAME, _COUNT = range(3)


class KindTable(QWidget):
    """Lists kinds; the selected row is the kind of the next clicks.

    It only shows and asks; the panel changes the layer and calls `show_kinds` again.

    Attributes
    ----------
    chosen : Signal(str)
        This kind is wanted for new points.
    added, removed : Signal
        A new kind is wanted; this kind (str) is not.
    renamed : Signal(str, str)
        Old and new name.
    recoloured : Signal(str, str)
        Kind and colour as ``#rrggbb``.
    assigned : Signal(str)
        The selected points shall be of this kind.
    """

    chosen = Signal(str)
    added = Signal()
    removed = Signal(str)
    renamed = Signal(str, str)
    recoloured = Signal(str, str)
    assigned = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._kinds: list[str] = []
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels(["", "Kind", "Count"])
        rows, header = self.table.verticalHeader(), self.table.horizontalHeader()
        assert rows is not None
        assert header is not None
        rows.hide()
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setFixedHeight(96)
        self.table.setToolTip(
            "<qt>New points get the marked kind. Double-click a name to rename it, a colour to "
            "change it.</qt>"
        )
        header.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        self.table.setColumnWidth(_COLOUR, 28)
        self.table.setColumnWidth(_COUNT, 56)
        self.add_button = QPushButton("Add kind")
        self.remove_button = QPushButton("Remove kind")
        self.remove_button.setToolTip("<qt>Remove the marked kind together with its points.</qt>")
        self.assign_button = QPushButton("Assign to selected")
        self.assign_button.setToolTip(
            "<qt>Make the selected points defects of the marked kind.</qt>"
        )
        buttons = QHBoxLayout()
        for button in (self.add_button, self.remove_button, self.assign_button):
            buttons.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.table)
        column.addLayout(buttons)
        self.add_button.clicked.connect(lambda: self.added.emit())
        self.remove_button.clicked.connect(lambda: self.removed.emit(self.current))
        self.assign_button.clicked.connect(lambda: self.assigned.emit(self.current))
        self.table.itemSelectionChanged.connect(lambda: self.chosen.emit(self.current))
        self.table.itemChanged.connect(self._on_item_changed)
        self.table.cellDoubleClicked.connect(self._on_double_click)

    @property
    def current(self) -> str:
        """The marked kind."""
        row = self.table.currentRow()
        return self._kinds[row] if 0 <= row < len(self._kinds) else ""

    def show_kinds(
        self, colours: Mapping[str, str], counts: Mapping[str, int], current: str
    ) -> None:
        """Show kinds.

        Parameters
        ----------
        colours : mapping of str to str
            Colour ``#rrggbb`` of each kind, in the order of the rows.
        counts : mapping of str to int
            How many points there are of each.
        current : str
            The kind of new points.
        """
        blocked = self.table.blockSignals(True)
        self._kinds = list(colours)
        self.table.setRowCount(len(colours))
        for row, (kind, colour) in enumerate(colours.items()):
            swatch, name, count = (
                QTableWidgetItem(text) for text in ("", kind, str(counts.get(kind, 0)))
            )
            swatch.setBackground(QColor(colour))
            swatch.setFlags(Qt.ItemFlag.ItemIsEnabled)
            count.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
            for place, item in ((_COLOUR, swatch), (_NAME, name), (_COUNT, count)):
                self.table.setItem(row, place, item)
        if current in self._kinds:
            self.table.setCurrentCell(self._kinds.index(current), _NAME)
        self.table.blockSignals(blocked)
        self.remove_button.setEnabled(len(self._kinds) > 1)

    def _on_item_changed(self, item: QTableWidgetItem) -> None:
        if item.column() == _NAME and item.text() != self._kinds[item.row()]:
            self.renamed.emit(self._kinds[item.row()], item.text().strip())

    def _on_double_click(self, row: int, column: int) -> None:
        if column != _COLOUR:
            return
        colour = QColorDialog.getColor(parent=self, title="Colour of this kind")
        if colour.isValid():
            self.recoloured.emit(self._kinds[row], colour.name())
