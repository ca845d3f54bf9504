"""`ConsoleExtraction`: an extraction that was started from napari's console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_qpi.layers.conversion import add_layers, points_from_defects
from napari_qpi.layers.result import show_result
from napari_qpi.tasks.console.job import ConsoleJob
from qpi_kernels.result import KernelResult

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_qpi.tasks.extraction import ExtractionInput

__all__ = ["ConsoleExtraction"]


class ConsoleExtraction(ConsoleJob[KernelResult]):
    """A running extraction; adds its layers to the viewer when it is done.

    Parameters
    ----------
    viewer : napari.Viewer
        Gets the layers.
    task : ExtractionInput
        A copy of all input.
    """

    name = "Extraction"

    def __init__(self, viewer: ViewerModel, task: ExtractionInput) -> None:
        self._viewer = viewer
        self._task = task
        super().__init__(f"Extract kernel of {task.image.name}", task.start)

    def __repr__(self) -> str:
        """Describe the extraction for the console."""
        method = self._task.parameters.method
        return f"<Extraction of {self._task.image.name} by {method}: {self.state.value}>"

    def show(self, outcome: KernelResult) -> KernelResult:
        """Show the kernels, and the defects where they were found."""
        image = self._task.image
        shown = show_result(self._viewer, outcome, image)
        if self._task.parameters.finds_defects:
            name = f"{image.name} found defects"
            add_layers(self._viewer, [points_from_defects(outcome.defects, image, name=name)])
        # The kernels lie beside the image, out of sight until the view is fitted.
        self._viewer.reset_view()
        return shown
