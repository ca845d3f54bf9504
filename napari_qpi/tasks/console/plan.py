"""`ConsolePlan`: a plan of a map that was started from napari's console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_qpi.layers.conversion import add_layers
from napari_qpi.layers.planned import planned_layers
from napari_qpi.tasks.console.job import ConsoleJob
from qpi_kernels.extraction.planning.proposal import MapProposal

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_qpi.tasks.planning.map_plan import MapPlanInput

__all__ = ["ConsolePlan"]


class ConsolePlan(ConsoleJob[MapProposal]):
    """A running plan; adds the rectangle and the pixels to the viewer when it is done.

    Parameters
    ----------
    viewer : napari.Viewer
        Gets the layers.
    plan : MapPlanInput
        A copy of all input.
    """

    name = "Plan"

    def __init__(self, viewer: ViewerModel, plan: MapPlanInput) -> None:
        self._viewer = viewer
        self._image = plan.task.image
        super().__init__(f"Plan a map of {self._image.name}", plan.start)

    def __repr__(self) -> str:
        """Describe the plan for the console."""
        words = "" if self.result is None else f" {self.result.best.in_words()}"
        return f"<Plan of a map of {self._image.name}: {self.state.value}.{words}>"

    def show(self, outcome: MapProposal) -> MapProposal:
        """Show where to scan."""
        add_layers(self._viewer, planned_layers(outcome, self._image))
        return outcome
