"""`EnergySlider`: the bias that all panels and the viewer's own slider share."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QSignalBlocker, Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSlider, QWidget

from napari_qpi.tasks.inspection.state import Inspection, bias_in_words
from qpi_kernels.inspect.axes import nearest_plane

__all__ = ["EnergySlider"]


class EnergySlider(QWidget):
    """Choose the bias of an inspection; hidden where there is but one.

    Parameters
    ----------
    inspection : Inspection
        Gets the bias.
    """

    def __init__(self, inspection: Inspection) -> None:
        super().__init__()
        self._inspection = inspection
        self._roomy_for: list[str] = []
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.label = QLabel()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for widget, stretch in ((QLabel("Bias"), 0), (self.slider, 1), (self.label, 0)):
            row.addWidget(widget, stretch)
        self.setToolTip(
            "<qt>The bias of map, kernel, residual and transforms; each shows its plane nearest to "
            "it. It follows the viewer's slider and moves it.</qt>"
        )
        self.slider.valueChanged.connect(self._on_moved)
        self.show_state()

    def show_state(self) -> None:
        """Show the biases of the arrays and the one chosen."""
        biases, bias = self._inspection.biases, self._inspection.bias
        with QSignalBlocker(self.slider):
            self.slider.setRange(0, max(len(biases) - 1, 0))
            if bias is not None:
                self.slider.setValue(nearest_plane(biases, bias))
        unit = self._inspection.bias_unit
        self.label.setText("" if bias is None else bias_in_words(bias, unit))
        self._keep_size()
        self.setVisible(len(biases) > 1)

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 - Qt's name
        """Follow the font of napari's theme."""
        super().changeEvent(event)
        if event is not None and event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._keep_size(anew=True)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 - Qt's name
        """Take the font of the window, which is known only now."""
        super().showEvent(event)
        self._keep_size(anew=True)

    def _keep_size(self, *, anew: bool = False) -> None:
        """Give the label room for every bias, else slider and dock are laid out at each move."""
        biases, unit = self._inspection.biases, self._inspection.bias_unit
        words = [bias_in_words(bias, unit) for bias in biases.tolist()]
        if words == self._roomy_for and not anew:
            return
        self._roomy_for, shown = words, self.label.text()
        self.label.ensurePolished()
        self.label.setText(max(words, key=self.label.fontMetrics().horizontalAdvance, default=""))
        self.label.setFixedSize(self.label.sizeHint())
        self.label.setText(shown)

    def _on_moved(self, index: int) -> None:
        self._inspection.bias = float(self._inspection.biases[index])
