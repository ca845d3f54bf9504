"""`LineView`: the Fourier transform beside its cut, with the line to drag."""

from __future__ import annotations

from dataclasses import replace

from napari_qpi.tasks.inspection.state import Inspection
from napari_qpi.widgets.inspect.plots.momentum_view import MomentumView, Place
from qpi_kernels.inspect import InspectionError

__all__ = ["LineView"]

_SIDE = 180


class LineView(MomentumView):
    """Show |FT| with the line of an inspection; hidden while the line lies on the image.

    Parameters
    ----------
    inspection : Inspection
        Its line is shown and moved.
    """

    def __init__(self, inspection: Inspection) -> None:
        super().__init__(_SIDE)
        self._inspection = inspection
        self.line_moved.connect(self._on_line_moved)

    def show_state(self, role: str) -> None:
        """Show the transform of an array at the bias on show, and the line."""
        inspection, line = self._inspection, self._inspection.line
        try:
            transform = inspection.fourier(role) if line and line.space == "q" else None
        except InspectionError:
            transform = None
        self.setVisible(transform is not None)
        if transform is None or line is None:
            return
        self.show_units(inspection.q_factor, inspection.q_unit)
        self.show_transform(transform, f"|FT| of {inspection.title(role)}", scale="root")
        self.marker.setVisible(False)
        if self.line_ends() != (line.start, line.stop):
            self.show_line(line.start, line.stop)
        self.line.setVisible(True)

    def _on_line_moved(self, start: Place, stop: Place) -> None:
        line = self._inspection.line
        if line is not None and line.space == "q":
            self._inspection.line = replace(line, start=start, stop=stop)
