"""`FourierView`: |FFT| of a plane, with Bragg peaks and pickup marked and handles to drag."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from qtpy.QtCore import QEvent, QObject, QRectF, QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QWidget

from napari_qpi.widgets.common.image_view import ImageView
from napari_qpi.widgets.common.plotting import pg

__all__ = ["FourierView"]

_HEIGHT = 220
_BRAGG_COLOR, _PICKUP_COLOR, _HANDLE_COLOR = "#00e5ff", "#39ff14", "#ffb000"


class FourierView(ImageView):
    """Show a Fourier magnitude with marks; a double click zooms in on small q and out again.

    Attributes
    ----------
    handles_moved : Signal(object)
        The user dragged a handle; both wave vectors (row, col), (2, 2), in the units of the axes.
    """

    handles_moved = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("magma", from_zero=True, parent=parent)
        # The handles are dragged with the mouse; the view itself takes none of it.
        self.canvas.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents, False)
        for widget in (self.canvas, self.canvas.viewport()):
            widget.installEventFilter(self)
        self.canvas.scene().sigMouseClicked.connect(self._on_clicked)
        self._zoom = 1
        self._fft: xr.DataArray | None = None
        self._marks = {
            name: pg.ScatterPlotItem(
                symbol=symbol, size=14, pen=pg.mkPen(color, width=1.5), brush=None, name=name
            )
            for name, symbol, color in (
                ("Bragg", "o", _BRAGG_COLOR),
                ("pickup", "s", _PICKUP_COLOR),
            )
        }
        self.handles = [
            pg.TargetItem(
                movable=True, size=16, pen=pg.mkPen(_HANDLE_COLOR, width=2), symbol="crosshair"
            )
            for _ in range(2)
        ]
        for item in (*self._marks.values(), *self.handles):
            item.setVisible(False)
            self._view.addItem(item, ignoreBounds=True)
        for handle in self.handles:
            handle.sigPositionChangeFinished.connect(self._on_handle)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Leave the wheel to the scrolling of the dock."""
        if event is None or event.type() != QEvent.Type.Wheel:
            return False
        event.ignore()
        return True

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for enough to see rings."""
        return QSize(_HEIGHT, _HEIGHT)

    def show_magnitude(self, fft: xr.DataArray, title: str) -> None:
        """Show a magnitude with the axes ``q_y`` and ``q_x``."""
        self._fft = fft
        # A root lets weak rings be seen beside strong peaks.
        self.show_plane(fft**0.5, f"{title}, root")
        self._show_zoom()

    def show_marks(self, bragg: ArrayLike, pickup: ArrayLike) -> None:
        """Mark wave vectors (row, col), (N, 2), each with its opposite."""
        for name, waves in (("Bragg", bragg), ("pickup", pickup)):
            array = np.asarray(waves, float).reshape(-1, 2)
            item = self._marks[name]
            item.setVisible(bool(len(array)) and self._fft is not None)
            if item.isVisible():
                item.setData(pos=[self._place(wave) for wave in [*array, *-array]])

    def marked(self, name: str) -> list[tuple[float, float]]:
        """Return the marks of "Bragg" or "pickup" on show, (x, y) in the view."""
        item = self._marks[name]
        return (
            [(spot.pos().x(), spot.pos().y()) for spot in item.points()] if item.isVisible() else []
        )

    def handle_waves(self) -> NDArray[np.float64]:
        """Return the wave vectors (row, col) at the handles, (2, 2)."""
        first, step = self._axes()
        places = np.array([[handle.pos().y(), handle.pos().x()] for handle in self.handles])
        return np.asarray(places + first - step / 2)

    def show_handles(self, waves: ArrayLike | None) -> None:
        """Show the two handles at wave vectors (row, col), (2, 2), or hide them."""
        for number, handle in enumerate(self.handles):
            handle.setVisible(waves is not None and self._fft is not None)
            if handle.isVisible() and waves is not None:
                blocked = handle.blockSignals(True)
                handle.setPos(*self._place(np.asarray(waves, float)[number]))
                handle.blockSignals(blocked)

    def reach(self) -> NDArray[np.float64]:
        """Return the largest wave vectors along rows and columns."""
        assert self._fft is not None
        return np.array([float(np.abs(self._fft[dim]).max()) for dim in self._fft.dims])

    def _axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the first wave vector (row, col) and the steps."""
        assert self._fft is not None
        axes = [np.asarray(self._fft[dim].values, float) for dim in self._fft.dims]
        return np.array([axis[0] for axis in axes]), np.array([axis[1] - axis[0] for axis in axes])

    def _place(self, wave: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
        """Give the (x, y) in the view of a wave vector (row, col)."""
        first, step = self._axes()
        row, column = np.asarray(wave, float) - first + step / 2
        return float(column), float(row)

    def _on_handle(self) -> None:
        """Tell where both handles are now."""
        self.handles_moved.emit(self.handle_waves())

    def _on_clicked(self, event: object) -> None:
        if getattr(event, "double", lambda: False)():
            self._zoom = 1 if self._zoom > 1 else 4
            self._show_zoom()

    def _show_zoom(self) -> None:
        """Show the middle of the transform, a fraction of it when zoomed in."""
        if self._fft is None:
            return
        _, step = self._axes()
        height, width = step * np.array(self._fft.shape)
        left, top = (np.array([width, height]) * (1 - 1 / self._zoom) / 2).tolist()
        shown = QRectF(left, top, width / self._zoom, height / self._zoom)
        self._view.setRange(shown, padding=0)
