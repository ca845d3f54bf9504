"""`ImageView`: a small image in a dock, with its name and a scale bar."""

from __future__ import annotations

from math import floor, log10

import numpy as np
import xarray as xr
from qtpy.QtCore import QRectF, QSize
from qtpy.QtWidgets import QGraphicsRectItem, QSizePolicy, QWidget

from napari_qpi.widgets.common.plotting import PlotWidget, color_table, pg
from qpi_kernels.inspect.colours import colour_limits

__all__ = ["ImageView", "round_length"]

_MIN_SIDE = 90
_SHADE = (0, 0, 0, 150)
_FADED = 0.35
# Shares of the width and the height.
_BAR_LENGTH, _BAR_HEIGHT, _MARGIN = 0.4, 0.015, 0.03


class ImageView(PlotWidget):
    """Show one plane, as large as fits, its pixels sharp.

    These images live in a dock, not in layers: layers in rad/nm and in nm can not share a viewer.

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
        self._symmetric = symmetric
        self._from_zero = from_zero
        self._view = self.canvas.addViewBox(
            lockAspect=True, invertY=True, enableMenu=False, enableMouse=False, defaultPadding=0
        )
        self._image = pg.ImageItem(axisOrder="row-major", lut=color_table(colormap))
        self._title = pg.TextItem(color="w", fill=_SHADE)
        self._bar = QGraphicsRectItem()
        self._bar.setPen(pg.mkPen(None))
        self._bar.setBrush(pg.mkBrush("w"))
        self._bar_text = pg.TextItem(color="w", fill=_SHADE, anchor=(0.5, 1))
        for item in (self._image, self._title, self._bar, self._bar_text):
            self._view.addItem(item, ignoreBounds=True)
            item.setVisible(False)
        self.setMinimumSize(_MIN_SIDE, _MIN_SIDE)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    @property
    def shape(self) -> tuple[int, int] | None:
        """Rows and columns of the plane, None before one is shown."""
        shown = self._image.image
        return None if shown is None else (shown.shape[0], shown.shape[1])

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
            Its name, written over it.
        """
        values = np.asarray(plane.values, np.float32)
        low, high = colour_limits(values, signed=self._symmetric)
        if self._from_zero:
            low = 0.0
        axes = [plane[dim] for dim in plane.dims]
        height, width = (float(axis[1] - axis[0]) * len(axis) for axis in axes)
        unit = str(axes[1].attrs.get("units", ""))
        self._image.setImage(values, levels=(low, high))
        self._image.setOpacity(1.0)
        # Pixels of a transform need not be square.
        self._image.setRect(QRectF(0, 0, width, height))
        self._view.setRange(QRectF(0, 0, width, height), padding=0)
        self._title.setText(title)
        self._show_bar(width, height, unit)
        for item in (self._image, self._title, self._bar, self._bar_text):
            item.setVisible(True)
        extent = f"{height:.3g} × {width:.3g}"  # noqa: RUF001
        pixels = " × ".join(str(size) for size in plane.shape)  # noqa: RUF001
        self.setToolTip(
            f"<qt>{title}: {extent} {unit}, {pixels} px; colours from {low:.3g} to {high:.3g}</qt>"
        )

    def fade(self) -> None:
        """Show that the image is no longer that of the entries."""
        self._image.setOpacity(_FADED)

    def _show_bar(self, width: float, height: float, unit: str) -> None:
        length = round_length(_BAR_LENGTH * width)
        left, top = _MARGIN * width, height * (1 - _MARGIN - _BAR_HEIGHT)
        self._bar.setRect(QRectF(left, top, length, _BAR_HEIGHT * height))
        self._bar_text.setText(f"{length:g} {unit}")
        self._bar_text.setPos(left + length / 2, top)


def round_length(longest: float) -> float:
    """Round a length down to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** floor(log10(longest))
    digit = next((digit for digit in (5, 2, 1) if digit * power <= longest * 1.0001), 1)
    return digit * power
