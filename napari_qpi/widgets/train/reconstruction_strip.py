"""`ReconstructionStrip`: held-out kernels above what a network in training makes of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QImage, QPainter, QPaintEvent, QPalette
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_qpi.layers.result import SIGNED_COLORMAP
from napari_qpi.widgets.common.image_view import color_table, enlarged, painted

__all__ = ["ReconstructionStrip"]

_GAP = 3
_MIN_SIDE = 40
_COLUMNS = 6
_PERCENTILE = 99.5
_EMPTY = "Kernels appear here: true above, learnt below."


class ReconstructionStrip(QWidget):
    """Pairs of kernels, each pair in the colours of its true one."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colors = color_table(SIGNED_COLORMAP)
        self._pairs: list[tuple[QImage, QImage]] = []
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    @property
    def count(self) -> int:
        """Pairs on show."""
        return len(self._pairs)

    def show_pairs(self, true: NDArray[np.floating], made: NDArray[np.floating]) -> None:
        """Show kernels, (number, h, w) each, in the network's representation."""
        self._pairs = [
            (painted(self._shades(above, above)), painted(self._shades(below, above)))
            for above, below in zip(true, made, strict=True)
        ]
        self.setToolTip(
            "<qt>Kernels that training never sees: true above, as the network makes them below, "
            "in the network's amplitudes, which lift weak waves.</qt>"
        )
        self.update()

    def heightForWidth(self, width: int) -> int:  # noqa: N802 - Qt's name
        """Two rows of squares."""
        return int(2 * self._side(width) + _GAP)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for enough to see."""
        width = _COLUMNS * (_MIN_SIDE + _GAP)
        return QSize(width, self.heightForWidth(width))

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for enough to see."""
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """Paint the pairs."""
        painter = QPainter(self)
        if not self._pairs:
            painter.fillRect(self.rect(), self.palette().color(QPalette.ColorRole.Base))
            painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, _EMPTY)
            return
        side = self._side(self.width())
        pixels = QSize(int(side), int(side)) * self.devicePixelRatioF()
        for column, pair in enumerate(self._pairs):
            for row, image in enumerate(pair):
                place = QRectF(column * (side + _GAP), row * (side + _GAP), side, side)
                painter.drawImage(place, enlarged(image, pixels))

    def _side(self, width: int) -> float:
        columns = max(self.count, 1) if self._pairs else _COLUMNS
        return (width - (columns - 1) * _GAP) / columns

    def _shades(self, plane: NDArray[np.floating], true: NDArray[np.floating]) -> NDArray[np.uint8]:
        # The median is what a kernel is far from its defect: zero, or the offset of a min-max one.
        middle = float(np.median(true))
        reach = float(np.percentile(np.abs(true - middle), _PERCENTILE)) or 1.0
        share = 0.5 + 0.5 * np.nan_to_num((plane - middle) / reach)
        shades: NDArray[np.uint8] = self._colors[(255 * share.clip(0, 1)).astype(np.uint8)]
        return shades
