"""`ReconstructionStrip`: held-out kernels above what a network in training makes of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_qpi.layers.result import SIGNED_COLORMAP
from napari_qpi.widgets.common.plotting import PlotWidget, color_table, pg

__all__ = ["ReconstructionStrip"]

_MIN_WIDTH = 258
_PERCENTILE = 99.5
# Of a kernel's side.
_GAP = 0.06


class ReconstructionStrip(PlotWidget):
    """Show pairs of kernels, each pair in the colours of its true one; hidden without any."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._count = 0
        self._shape = (1, 1)
        view = self.canvas.addViewBox(
            lockAspect=True, invertY=True, enableMenu=False, enableMouse=False, defaultPadding=0
        )
        self._image = pg.ImageItem(
            axisOrder="row-major", lut=color_table(SIGNED_COLORMAP), levels=(-1, 1)
        )
        view.addItem(self._image)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setToolTip(
            "<qt>Kernels that training never sees: true above, as the network makes them below, "
            "in the network's amplitudes, which lift weak waves.</qt>"
        )
        self.hide()

    @property
    def count(self) -> int:
        """Pairs on show."""
        return self._count

    def show_pairs(self, true: NDArray[np.floating], made: NDArray[np.floating]) -> None:
        """Show kernels, (number, h, w) each, in the network's representation."""
        pairs = [np.stack(_shares(above, below)) for above, below in zip(true, made, strict=True)]
        gap = max(1, round(_GAP * pairs[0].shape[-1]))
        # pyqtgraph leaves NaN transparent.
        framed = [
            np.pad(pair, ((0, 0), (0, gap), (0, gap)), constant_values=np.nan) for pair in pairs
        ]
        mosaic = np.vstack([np.hstack([pair[row] for pair in framed]) for row in (0, 1)])
        mosaic = mosaic[:-gap, :-gap]
        self._count, self._shape = len(pairs), mosaic.shape
        self._image.setImage(mosaic.astype(np.float32), levels=(-1, 1))
        self.show()
        self.updateGeometry()

    def clear(self) -> None:
        """Show no kernels."""
        self._count = 0
        self._image.clear()
        self.hide()

    def heightForWidth(self, width: int) -> int:  # noqa: N802 - Qt's name
        """Return the height of two rows of kernels."""
        rows, columns = self._shape
        return round(width * rows / columns)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for enough to see."""
        return QSize(_MIN_WIDTH, self.heightForWidth(_MIN_WIDTH))

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for enough to see."""
        return self.sizeHint()


def _shares(above: NDArray[np.floating], below: NDArray[np.floating]) -> list[NDArray[np.floating]]:
    """Scale a true kernel and the one made of it to -1 ... 1 of the true one."""
    # The median is what a kernel is far from its defect: zero, or the offset of a min-max one.
    middle = float(np.median(above))
    reach = float(np.percentile(np.abs(above - middle), _PERCENTILE)) or 1.0
    return [np.nan_to_num((plane - middle) / reach).clip(-1, 1) for plane in (above, below)]
