"""`PreviewImages`: map, kernel and |FFT| of a simulated scan side by side."""

from __future__ import annotations

from qtpy.QtCore import QSize
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_qpi.layers.result import SIGNED_COLORMAP
from napari_qpi.tasks.simulation_preview import SimulatedPlane
from napari_qpi.widgets.common.image_view import ImageView

__all__ = ["PreviewImages"]

_GAP = 4
_MIN_WIDTH = 280


class PreviewImages(QWidget):
    """The map with kernel and |FFT| at its right, each half as large.

    Attributes
    ----------
    fft_of_kernel : bool
        Whether the transform of the kernel is shown, not that of the map.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.observation = ImageView("viridis", parent=self)
        self.kernel = ImageView(SIGNED_COLORMAP, symmetric=True, parent=self)
        self.fft = ImageView("magma", from_zero=True, parent=self)
        self.fft_of_kernel = True
        self.plane: SimulatedPlane | None = None
        self.setMinimumWidth(_MIN_WIDTH)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def show_plane(self, plane: SimulatedPlane) -> None:
        """Show a simulated plane."""
        self.plane = plane
        self.observation.show_plane(plane.scan.observation, "dI/dV map")
        self.kernel.show_plane(plane.scan.kernel, "kernel")
        self._show_fft()

    def show_fft_of(self, kernel: bool) -> None:
        """Show the transform of the kernel, or that of the map."""
        self.fft_of_kernel = kernel
        self._show_fft()

    def fade(self) -> None:
        """Show that the pictures are no longer what the entries say."""
        for view in (self.observation, self.kernel, self.fft):
            view.fade()

    def heightForWidth(self, width: int) -> int:  # noqa: N802 - Qt's name
        """Return the large square's height: two small ones and a gap."""
        return 2 * _small_side(width) + _GAP

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for enough to see."""
        return QSize(_MIN_WIDTH, self.heightForWidth(_MIN_WIDTH))

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 - Qt's name
        """Keep the three squares."""
        super().resizeEvent(event)
        small = _small_side(self.width())
        large = 2 * small + _GAP
        self.observation.setGeometry(0, 0, large, large)
        self.kernel.setGeometry(large + _GAP, 0, small, small)
        self.fft.setGeometry(large + _GAP, small + _GAP, small, small)

    def _show_fft(self) -> None:
        if self.plane is None:
            return
        if self.fft_of_kernel:
            self.fft.show_plane(self.plane.kernel_fft, "|FFT| of kernel")
        else:
            self.fft.show_plane(self.plane.observation_fft, "|FFT| of map")


def _small_side(width: int) -> int:
    return (width - 2 * _GAP) // 3
