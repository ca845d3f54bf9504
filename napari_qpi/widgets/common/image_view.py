"""`ImageView`: a small image in a dock, with its name and a scale bar."""

from __future__ import annotations

from math import floor, log10

import numpy as np
import xarray as xr
from napari.utils.colormaps import ensure_colormap
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, QSizeF, Qt
from qtpy.QtGui import QColor, QFontMetricsF, QImage, QPainter, QPaintEvent, QPalette
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_qpi.layers.contrast import robust_limits

__all__ = ["ImageView", "color_table", "enlarged", "painted", "round_length"]

_MIN_SIDE = 90
_MARGIN = 4.0
_BAR_SHARE = 0.4
_BAR_HEIGHT = 3.0
_SHADE = QColor(0, 0, 0, 150)
_FADED = 0.35


class ImageView(QWidget):
    """Shows one plane, as large as fits, its pixels sharp.

    These images live in a dock, not in layers: layers in 1/nm and in nm can not share a viewer.

    Parameters
    ----------
    colormap : str
        Name of a napari colour map.
    symmetric : bool
        Put zero in the middle of the colour map.
    from_zero : bool
        Put zero at the lower end.
    """

    def __init__(
        self,
        colormap: str,
        *,
        symmetric: bool = False,
        from_zero: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._colors = color_table(colormap)
        self._symmetric = symmetric
        self._from_zero = from_zero
        self._title = ""
        self._unit = ""
        self._extent = QSizeF(1.0, 1.0)
        self._image: QImage | None = None
        self._faded = False
        self.setMinimumSize(_MIN_SIDE, _MIN_SIDE)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    @property
    def shape(self) -> tuple[int, int] | None:
        """Rows and columns of what is shown, None before anything is."""
        return None if self._image is None else (self._image.height(), self._image.width())

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for enough to see."""
        return QSize(2 * _MIN_SIDE, 2 * _MIN_SIDE)

    def show_plane(self, plane: xr.DataArray, title: str) -> None:
        """Show a plane.

        Parameters
        ----------
        plane : xarray.DataArray
            Two dims, whose coordinates give pitch and unit.
        title : str
            Its name, painted over it.
        """
        values = np.asarray(plane.values, np.float32)
        low, high = robust_limits(values, symmetric=self._symmetric)
        if self._from_zero:
            low = 0.0
        share = np.nan_to_num((values - low) / (high - low))
        self._image = painted(self._colors[(255 * share.clip(0, 1)).astype(np.uint8)])
        axes = [plane[dim] for dim in plane.dims]
        height, width = (float(axis[1] - axis[0]) * len(axis) for axis in axes)
        self._extent = QSizeF(width, height)
        self._unit = str(axes[1].attrs.get("units", "")).replace("1/nm", "nm⁻¹")
        self._title = title
        self._faded = False
        extent = f"{height:.3g} × {width:.3g}"  # noqa: RUF001
        pixels = " × ".join(str(size) for size in plane.shape)  # noqa: RUF001
        self.setToolTip(
            f"<qt>{title}: {extent} {self._unit}, {pixels} px; colours from {low:.3g} to "
            f"{high:.3g}</qt>"
        )
        self.update()

    def fade(self) -> None:
        """Show that the image is no longer what the entries say."""
        self._faded = True
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """Paint image, title and scale bar."""
        painter = QPainter(self)
        if self._image is None:
            painter.fillRect(self.rect(), self.palette().color(QPalette.ColorRole.Base))
            return
        if self._faded:
            painter.setOpacity(_FADED)
        # Pixels of a transform need not be square.
        scale = min(self.width() / self._extent.width(), self.height() / self._extent.height())
        size = (self._extent * scale).toSize()
        corner = QPointF((self.width() - size.width()) / 2, (self.height() - size.height()) / 2)
        frame = QRectF(corner, QSizeF(size))
        painter.drawImage(frame, enlarged(self._image, size * self.devicePixelRatioF()))
        font = painter.font()
        font.setPixelSize(11)
        painter.setFont(font)
        painter.setPen(Qt.GlobalColor.white)
        metrics = QFontMetricsF(font)
        _write(painter, metrics, self._title, frame.topLeft() + QPointF(_MARGIN, _MARGIN))
        self._paint_bar(painter, metrics, frame, scale)

    def _paint_bar(
        self, painter: QPainter, metrics: QFontMetricsF, frame: QRectF, scale: float
    ) -> None:
        """Draw a scale bar of a round length over the image's corner."""
        length = round_length(_BAR_SHARE * self._extent.width())
        text = f"{length:g} {self._unit}"
        width = length * scale
        wide = max(width, metrics.horizontalAdvance(text))
        high = metrics.height() + _BAR_HEIGHT + 2.0
        corner = frame.bottomLeft() + QPointF(2 * _MARGIN, -high - 2 * _MARGIN)
        painter.fillRect(
            QRectF(corner.x(), corner.y(), wide, high).adjusted(-_MARGIN, -1.0, _MARGIN, _MARGIN),
            _SHADE,
        )
        painter.drawText(
            QPointF(
                corner.x() + (wide - metrics.horizontalAdvance(text)) / 2,
                corner.y() + metrics.ascent(),
            ),
            text,
        )
        left = corner.x() + (wide - width) / 2
        painter.fillRect(
            QRectF(left, corner.y() + metrics.height() + 2.0, width, _BAR_HEIGHT),
            Qt.GlobalColor.white,
        )


def round_length(longest: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten that is not above a length."""
    power = 10.0 ** floor(log10(longest))
    digit = next((digit for digit in (5, 2, 1) if digit * power <= longest * 1.0001), 1)
    return digit * power


def color_table(colormap: str) -> NDArray[np.uint8]:
    """RGB of 256 shades, (256, 3)."""
    colors = ensure_colormap(colormap).map(np.linspace(0, 1, 256))
    return np.asarray(255 * colors[:, :3] + 0.5, np.uint8)


def painted(pixels: NDArray[np.uint8]) -> QImage:
    """Image of pixels (rows, columns, 3)."""
    rows, columns, _ = pixels.shape
    packed = np.ascontiguousarray(pixels)
    image = QImage(packed.tobytes(), columns, rows, 3 * columns, QImage.Format.Format_RGB888)
    return image.copy()  # the bytes above go


def enlarged(image: QImage, size: QSize) -> QImage:
    """Enlarge with sharp pixels that are all equally large, to a fraction of a screen pixel."""
    factor = max(-(-size.width() // image.width()), -(-size.height() // image.height()), 1)
    free = Qt.AspectRatioMode.IgnoreAspectRatio
    sharp = image.scaled(image.size() * factor, free, Qt.TransformationMode.FastTransformation)
    return sharp.scaled(size, free, Qt.TransformationMode.SmoothTransformation)


def _write(painter: QPainter, metrics: QFontMetricsF, text: str, corner: QPointF) -> None:
    width = metrics.horizontalAdvance(text)
    painter.fillRect(
        QRectF(corner.x(), corner.y(), width + 2 * _MARGIN, metrics.height() + 2), _SHADE
    )
    painter.drawText(QPointF(corner.x() + _MARGIN, corner.y() + 1 + metrics.ascent()), text)
