"""`ConsolePreparation`: a preparation that was started from napari's console."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from napari_qpi.tasks.console.job import ConsoleJob
from napari_qpi.tasks.preparation import PreparationInput, SuggestedPreparation, show_prepared
from qpi_kernels.prepare import Prepared, Step

if TYPE_CHECKING:
    from napari.components import ViewerModel

__all__ = ["ConsolePreparation"]


class ConsolePreparation(ConsoleJob[Prepared]):
    """A running preparation; adds its layers to the viewer when it is done.

    Parameters
    ----------
    viewer : napari.Viewer
        Gets the layers.
    task : PreparationInput
        A copy of all input.
    steps : sequence of Step, optional
        What to do; what suits the image when left out.
    """

    name = "Preparation"

    def __init__(
        self, viewer: ViewerModel, task: PreparationInput, steps: Sequence[Step] | None
    ) -> None:
        self._viewer, self._task = viewer, task
        super().__init__(f"Prepare {task.image.name}", partial(SuggestedPreparation, task, steps))

    def __repr__(self) -> str:
        """Describe the preparation for the console."""
        return f"<Preparation of {self._task.image.name}: {self.state.value}>"

    def show(self, outcome: tuple[PreparationInput, Prepared]) -> Prepared:
        """Show the image, what it leaves out and its defects."""
        task, prepared = outcome
        show_prepared(self._viewer, task, prepared)
        return prepared
