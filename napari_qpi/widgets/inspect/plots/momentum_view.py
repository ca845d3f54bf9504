"""`MomentumView`: a Fourier transform on axes of q, with the zone, a marker and a line to drag."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from qtpy.QtCore import QRectF, QSize, Qt, Signal  # type: ignore[attr-defined]

from napari_qpi.widgets.common.plotting import color_table, pg
from napari_qpi.widgets.inspect.plots.frame import PlotFrame
from napari_qpi.widgets.inspect.plots.labels import quantity_label, readable_unit
from qpi_kernels.inspect import pixel_edges
from qpi_kernels.inspect.colours import colour_limits

__all__ = ["ColorScale", "MomentumView"]

ColorScale = Literal["linear", "root", "log"]

_SIDE, _MIN_SIDE = 260, 150
_ZOOM = 4
_ZONE_COLOR, _MARKER_COLOR, _LINE_COLOR = "#00e5ff", "#ffb000", "#39ff14"
# Of a logarithmic scale, below the largest value.
_DECADES = 5.0

Place = tuple[float, float]


class MomentumView(PlotFrame):
    """Show a transform; a double click zooms in on small q and out again, a click moves the marker.

    All places are ``(q_y, q_x)`` in the unit of the transform, whatever the axes show.

    Parameters
    ----------
    side : int
        Width and height to ask for, in pixels of the screen.

    Attributes
    ----------
    marker_moved : Signal(object)
        The user moved the marker: its place.
    zoomed : Signal(int)
        The user zoomed in so many times, or out: once.
    line_moved : Signal(object, object)
        The user drags the line: the places of its ends.
    """

    marker_moved = Signal(object)
    zoomed = Signal(int)
    line_moved = Signal(object, object)

    def __init__(self, side: int = _SIDE) -> None:
        super().__init__()
        self._side = side
        # Marker and line are dragged with the mouse; the view itself takes none of it.
        self.canvas.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents, False)
        for widget in (self.canvas, self.canvas.viewport()):
            widget.installEventFilter(self)
        self.canvas.scene().sigMouseClicked.connect(self._on_clicked)
        self.plot.setAspectLocked(True)
        self.plot.invertY(True)
        self._tables = color_table("magma"), color_table("coolwarm")
        self._image = pg.ImageItem(axisOrder="row-major")
        self._zone = pg.PlotCurveItem(pen=pg.mkPen(_ZONE_COLOR, width=1.5))
        self.marker = pg.TargetItem(
            (0.0, 0.0), size=14, pen=pg.mkPen(_MARKER_COLOR, width=2), symbol="crosshair"
        )
        self.line = pg.LineSegmentROI(
            [(0.0, 0.0), (1.0, 0.0)], pen=pg.mkPen(_LINE_COLOR, width=1.5)
        )
        for handle in self.line.endpoints:
            # As a window of its own the menu that nobody opens would outlive the view.
            handle.menu.setParent(self, Qt.WindowType.Widget)
            handle.menu.hide()
        for item in (self._image, self._zone, self.marker, self.line):
            item.setVisible(False)
            self.plot.addItem(item, ignoreBounds=True)
        self.marker.sigPositionChanged.connect(self._on_marker)
        self.line.sigRegionChanged.connect(self._on_line)
        self._shown: xr.DataArray | None = None
        self._zoom = 1

    @property
    def shown(self) -> xr.DataArray | None:
        """The transform that is drawn, None before the first."""
        return self._shown

    @property
    def drawn(self) -> NDArray[np.float32] | None:
        """The numbers behind the colours: those of the transform, their roots or logarithms."""
        return self._image.image  # type: ignore[no-any-return]

    def show_transform(
        self, transform: xr.DataArray, title: str, *, scale: ColorScale = "linear"
    ) -> None:
        """Draw a transform.

        Parameters
        ----------
        transform : xarray.DataArray
            ``(q_y, q_x)``, real.
        title : str
            What is shown.
        scale : {"linear", "root", "log"}
            Colours by the values, their square roots or their decadic logarithms. Values of both
            signs get a diverging colour map, with zero in its middle, and are drawn linearly.
        """
        values = np.asarray(transform.values, np.float32)
        signed = bool((values < 0).any())
        scale = "linear" if signed else scale
        drawn, limits = _colors(values, scale, signed)
        first = self._shown is None or not _same_axes(self._shown, transform)
        self._shown = transform
        (left, right), (top, bottom) = (pixel_edges(transform[axis]) for axis in ("q_x", "q_y"))
        self._image.setImage(drawn, levels=limits, lut=self._tables[signed])
        self._image.setRect(QRectF(left, top, right - left, bottom - top))
        for item in (self._image, self.marker):
            item.setVisible(True)
        self.set_title(title)
        word = {"linear": "", "root": " (root)", "log": " (logarithm)"}[scale]
        self.setToolTip(
            f"<qt>{title}: {quantity_label(transform)}, colours{word} from {limits[0]:.3g} to "
            f"{limits[1]:.3g}. Double-click to zoom in on small q; click or drag the cross to "
            "read a wave vector.</qt>"
        )
        if first:
            self._show_zoom()

    def clear(self) -> None:
        """Draw nothing."""
        self._shown = None
        for item in (self._image, self._zone, self.marker, self.line):
            item.setVisible(False)
        self.set_title("")

    def follow_view(self, other: MomentumView) -> None:
        """Show the same part of q space as another view; double clicks and markers are shared."""
        for first, second in ((self, other), (other, self)):
            first.zoomed.connect(second.zoom_to)
            first.marker_moved.connect(second.show_marker)

    def zoom_to(self, zoom: int) -> None:
        """Show a fraction 1 / `zoom` of the axes about q = 0."""
        self._zoom = zoom
        self._show_zoom()

    def show_units(self, factor: float, unit: str) -> None:
        """Label the axes in a unit, of which one unit of the transform is `factor`."""
        for side, name in (("bottom", "q_x"), ("left", "q_y")):
            self.plot.getAxis(side).setScale(factor)
            self.plot.getAxis(side).setLabel(f"{_SYMBOLS[name]} ({readable_unit(unit)})")

    def show_zone(self, outline: ArrayLike | None) -> None:
        """Draw the outline of the Brillouin zone, (N, 2) of ``(q_y, q_x)``; None hides it."""
        self._zone.setVisible(outline is not None)
        if outline is not None:
            corners = np.asarray(outline, float)
            self._zone.setData(corners[:, 1], corners[:, 0])

    @property
    def marker_place(self) -> Place:
        """Place of the marker."""
        place = self.marker.pos()
        return float(place.y()), float(place.x())

    def show_marker(self, place: Place) -> None:
        """Put the marker somewhere."""
        blocked = self.marker.blockSignals(True)
        self.marker.setPos(place[1], place[0])
        self.marker.blockSignals(blocked)

    def show_line(self, start: Place | None, stop: Place | None = None) -> None:
        """Show the line between two places; None hides it."""
        self.line.setVisible(start is not None)
        if start is None or stop is None:
            return
        blocked = self.line.blockSignals(True)
        for handle, place in zip(self.line.endpoints, (start, stop), strict=True):
            self.line.movePoint(handle, (place[1], place[0]), coords="parent")
        self.line.blockSignals(blocked)

    def line_ends(self) -> tuple[Place, Place]:
        """Return the places of the line's ends."""
        ends = [self.line.mapToParent(handle.pos()) for handle in self.line.endpoints]
        start, stop = ((float(end.y()), float(end.x())) for end in ends)
        return start, stop

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for enough to see rings."""
        return QSize(self._side, self._side)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for enough to hit a ring with the mouse; beside other docks this one scrolls."""
        return QSize(super().minimumSizeHint().width(), _MIN_SIDE)

    def _on_marker(self) -> None:
        self.marker_moved.emit(self.marker_place)

    def _on_line(self) -> None:
        self.line_moved.emit(*self.line_ends())

    def _on_clicked(self, event: Any) -> None:
        """Zoom at a double click; move the marker to a click on the image."""
        view = self.plot.getViewBox()
        if self._shown is None or not view.sceneBoundingRect().contains(event.scenePos()):
            return
        if event.double():
            self.zoom_to(1 if self._zoom > 1 else _ZOOM)
            self.zoomed.emit(self._zoom)
        elif event.button() == Qt.MouseButton.LeftButton:
            self.marker.setPos(view.mapSceneToView(event.scenePos()))

    def _show_zoom(self) -> None:
        """Show the middle of the transform, a fraction of it when zoomed in."""
        if self._shown is None:
            return
        sides = []
        for axis in ("q_x", "q_y"):
            low, high = pixel_edges(self._shown[axis])
            sides.append((low / self._zoom, high / self._zoom))
        self.plot.setRange(xRange=sides[0], yRange=sides[1], padding=0)


_SYMBOLS = {"q_x": "q<sub>x</sub>", "q_y": "q<sub>y</sub>"}


def _colors(
    values: NDArray[np.float32], scale: ColorScale, signed: bool
) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Scale values for the colours, and choose the limits."""
    if scale == "log":
        with np.errstate(divide="ignore"):
            drawn = np.log10(values)
        drawn[~np.isfinite(drawn)] = np.nan
        low, high = colour_limits(drawn, signed=False)
        return drawn, (max(low, high - _DECADES), high)
    drawn = np.sqrt(values) if scale == "root" else values
    low, high = colour_limits(drawn, signed=signed)
    return drawn, (low if signed else 0.0, high)


def _same_axes(first: xr.DataArray, second: xr.DataArray) -> bool:
    """Return whether two transforms have the same wave vectors."""
    return all(first[axis].equals(second[axis]) for axis in ("q_y", "q_x"))
