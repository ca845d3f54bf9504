"""`BiasRange`: which planes of a ``(bias, y, x)`` stack to use."""

from __future__ import annotations

import numpy as np
import xarray as xr
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QDoubleSpinBox, QGridLayout, QLabel, QWidget

from napari_qpi.tasks.extraction import chosen_planes
from qpi_kernels.extraction.bias_planes import BiasRangeError

__all__ = ["BiasRange"]


class BiasRange(QWidget):
    """Lowest and highest bias, in the stack's own unit."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._observation: xr.DataArray | None = None
        self.low, self.high = QDoubleSpinBox(), QDoubleSpinBox()
        self._count = QLabel()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        for column, widget in enumerate((self.low, QLabel("to"), self.high)):
            grid.addWidget(widget, 0, column)
        # Below: beside them it would leave the numbers too little room to be read.
        grid.addWidget(self._count, 1, 0, 1, 3)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(2, 1)
        for spin in (self.low, self.high):
            spin.valueChanged.connect(self._on_changed)
        self.setToolTip("<qt>Only planes with a bias in this range are used.</qt>")

    def show_stack(self, observation: xr.DataArray | None) -> None:
        """Offer the biases of a stack, all of them chosen; nothing for a map or None."""
        stack = observation is not None and "bias" in observation.dims
        self._observation = observation if stack else None
        if observation is None or not stack:
            return
        bias = observation["bias"].values
        low, high = float(bias.min()), float(bias.max())
        step = (high - low) / max(len(bias) - 1, 1) or 1.0
        for spin, value in ((self.low, low), (self.high, high)):
            blocked = spin.blockSignals(True)
            # Rounding stays far below half a step, so that the plane shown is the plane chosen.
            spin.setDecimals(max(3, 2 - int(np.floor(np.log10(step)))))
            spin.setRange(low - step / 2, high + step / 2)
            spin.setSingleStep(step)
            spin.setValue(value)
            spin.blockSignals(blocked)
        self._on_changed()

    def value(self) -> tuple[float, float] | None:
        """Return (lowest, highest), or None without a choice."""
        if self._observation is None or self._observation.sizes["bias"] == 1:
            return None
        return self.low.value(), self.high.value()

    def _on_changed(self) -> None:
        """Count the planes in the range."""
        if self._observation is None:
            return
        try:
            count = len(chosen_planes(self._observation, self.value()))
        except BiasRangeError:
            count = 0
        self._count.setText(f"{count} of {self._observation.sizes['bias']} planes")
        self.changed.emit()
