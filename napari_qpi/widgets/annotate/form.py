"""`AnnotationForm`: the buttons and parameters of finding, snapping and tidying defects."""

from __future__ import annotations

from typing import Any

from qtpy.QtGui import QAction  # type: ignore[attr-defined]
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_qpi.widgets.common.dock import collapsed, group
from napari_qpi.widgets.common.parameter_form import ParameterForm
from qpi_kernels.defects import DetectionParameters, SnappingParameters

__all__ = ["AnnotationForm", "show_action"]


class AnnotationForm(QWidget):
    """Hold the parameters of detection and snapping, and a button for each step.

    Attributes
    ----------
    mark_button, detect_button, snap_button, duplicates_button : QPushButton
        The steps.
    detection, detection_details, snapping, snapping_details : ParameterForm
        Their parameters.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.mark_button = _button("Mark by clicking", "Every click on the image adds a defect.")
        self.detect_button = _button(
            "Detect",
            "Find the defects of the marked kind on the plane that is shown; replaces the points "
            "of that kind.",
        )
        self.snap_button = _button("Snap", "Move all points onto the local pattern, sub-pixel.")
        self.duplicates_button = _button(
            "Remove duplicates",
            "Leave one of any points closer to each other than the snap radius.",
        )
        self.detection = ParameterForm(DetectionParameters, ("polarity", "size_px", "threshold"))
        self.detection_details = ParameterForm(
            DetectionParameters,
            ("look", "isolation", "min_distance_px", "exclude_border", "max_count"),
        )
        self.snapping = ParameterForm(SnappingParameters, ("method", "radius_px"))
        self.snapping_details = ParameterForm(SnappingParameters, ("pattern_px", "size_px"))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(
            group(
                "Find defects",
                self.mark_button,
                self.detection,
                collapsed("More about detection", self.detection_details),
                self.detect_button,
            )
        )
        column.addWidget(
            group(
                "Refine positions",
                self.snapping,
                collapsed("More about snapping", self.snapping_details),
                (self.snap_button, self.duplicates_button),
            )
        )

    def detection_values(self) -> dict[str, Any]:
        """Return what is entered of `DetectionParameters`, not yet validated."""
        return self.detection.values() | self.detection_details.values()

    def snapping_values(self) -> dict[str, Any]:
        """Return what is entered of `SnappingParameters`, not yet validated."""
        return self.snapping.values() | self.snapping_details.values()

    def show_possible(self, *, mark: bool, detect: bool, refine: bool) -> None:
        """Enable the steps that are possible."""
        self.mark_button.setEnabled(mark)
        self.detect_button.setEnabled(detect)
        for button in (self.snap_button, self.duplicates_button):
            button.setEnabled(refine)


def _button(text: str, help_text: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(f"<qt>{help_text}</qt>")
    return button


def show_action(button: QPushButton, action: QAction) -> None:
    """Give a button the text and state of an action."""
    button.setText(action.text())
    button.setEnabled(action.isEnabled())
