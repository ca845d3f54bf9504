"""`RoleChoice`: which of the inspected arrays a panel draws."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QComboBox

from napari_qpi.tasks.inspection.inspected import ROLES
from napari_qpi.tasks.inspection.state import Inspection

__all__ = ["RoleChoice"]


class RoleChoice(QComboBox):
    """Offer the arrays of an inspection; those that are not there can not be chosen.

    Parameters
    ----------
    inspection : Inspection
        Holds the arrays.
    """

    def __init__(self, inspection: Inspection) -> None:
        super().__init__()
        self._inspection = inspection
        for role in ROLES:
            self.addItem(role, role)
        self.setToolTip("<qt>Draw the map, the kernel, or the residual of its extraction.</qt>")
        self.show_state()

    @property
    def role(self) -> str:
        """The chosen array, one of `ROLES`."""
        return str(self.currentData())

    def show_state(self) -> None:
        """Offer the arrays that are there, without a signal."""
        there = [self._inspection.data.image(role) is not None for role in ROLES]
        model = self.model()
        assert isinstance(model, QStandardItemModel)
        for row, found in enumerate(there):
            item = model.item(row)
            assert item is not None
            item.setEnabled(found)
        if any(there) and not there[self.currentIndex()]:
            with QSignalBlocker(self):
                self.setCurrentIndex(there.index(True))
