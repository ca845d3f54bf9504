"""`SectorView`: the Fourier transform beside its profile, with the sector to turn."""

from __future__ import annotations

from math import atan2, cos, degrees, hypot, radians, sin

from qtpy.QtCore import Signal  # type: ignore[attr-defined]

from napari_qpi.tasks.inspection.state import Inspection
from napari_qpi.widgets.common.plotting import pg
from napari_qpi.widgets.inspect.plots.momentum_view import MomentumView, Place
from qpi_kernels.inspect import InspectionError, pixel_edges

__all__ = ["SectorView"]

_SIDE = 180
_COLOR = "#39ff14"
# Of the largest q on an axis, where the handle begins.
_HANDLE = 0.6


class SectorView(MomentumView):
    """Show |FT| with the sides of a sector, whose direction follows the mouse.

    Parameters
    ----------
    inspection : Inspection
        Gives the transforms.

    Attributes
    ----------
    turned : Signal(float)
        The user turns the sector: its direction in degrees, anticlockwise as seen.
    """

    turned = Signal(float)

    def __init__(self, inspection: Inspection) -> None:
        super().__init__(_SIDE)
        self._inspection = inspection
        self.sides = pg.PlotCurveItem(pen=pg.mkPen(_COLOR, width=1.5), connect="pairs")
        self.plot.addItem(self.sides, ignoreBounds=True)
        self.marker_moved.connect(self._on_handle)

    def show_state(self, role: str, sector: tuple[float, float] | None) -> None:
        """Show the transform of an array at the bias on show, and a sector; without one nothing.

        Parameters
        ----------
        role : str
            Of the array.
        sector : (float, float) or None
            Direction and full width in degrees.
        """
        inspection = self._inspection
        try:
            transform = None if sector is None else inspection.fourier(role)
        except InspectionError:
            transform = None
        self.setVisible(transform is not None)
        if transform is None or sector is None:
            return
        self.show_units(inspection.q_factor, inspection.q_unit)
        self.show_transform(transform, f"|FT| of {inspection.title(role)}", scale="root")
        self.setToolTip("<qt>Drag the cross, or click, to turn the sector.</qt>")
        reach = [max(map(abs, pixel_edges(transform[axis]))) for axis in ("q_y", "q_x")]
        self._show_sector(*sector, reach=min(reach))

    def _show_sector(self, angle: float, width: float, *, reach: float) -> None:
        """Draw the sides, on both sides of q = 0, and put the handle into the direction."""
        across, down = [], []
        for side in (angle - width / 2, angle + width / 2):
            for sign in (-1, 1):
                across.append(sign * reach * cos(radians(side)))
                down.append(-sign * reach * sin(radians(side)))
        self.sides.setData(across, down)
        length = hypot(*self.marker_place)
        if not 0 < length < reach:
            length = _HANDLE * reach
        self.show_marker((-length * sin(radians(angle)), length * cos(radians(angle))))

    def _on_handle(self, place: Place) -> None:
        """Turn the sector to where the handle was dragged."""
        if any(place):
            self.turned.emit(degrees(atan2(-place[0], place[1])))
