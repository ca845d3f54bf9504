"""`MapPlanInput`: a topograph with marks, and what a map of it is to reach."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_qpi.tasks.extraction import ExtractionInput
from napari_qpi.tasks.job import load_torch
from qpi_kernels.extraction import ExtractionError
from qpi_kernels.extraction.planning.parameters import MapProposalParameters
from qpi_kernels.prepare import Prepared

if TYPE_CHECKING:
    from qpi_kernels.extraction.planning.proposal import MapProposal
    from qpi_kernels.progress import Stepper

__all__ = ["MapPlanInput", "save_planned_tour"]


@dataclass(frozen=True)
class MapPlanInput:
    """Input of a plan.

    Parameters
    ----------
    task : ExtractionInput
        The topograph, its defects and the parameters of the extraction.
    wanted : MapProposalParameters
        What is wanted, and what is known of the map before.
    """

    task: ExtractionInput
    wanted: MapProposalParameters

    def start(self) -> Stepper[MapProposal]:
        """Check the input and give the stepper; call this in the worker, it may import torch.

        Raises
        ------
        ExtractionError
            If the input does not fit together.
        """
        load_torch()
        from qpi_kernels.extraction.planning.proposal import MapProposalSearch
        from qpi_kernels.threads import OneThreadStepper

        task = self.task
        if task.parameters.finds_defects:
            raise ExtractionError("plan with a method that takes marked defects, such as bayes")
        scan = task.prepared
        if scan is None:
            scan = Prepared.start(task.observation, task.mask, task.defects)
        # Positions are taken as they are: refining them would take most of the time. So is the
        # window, which is neither chosen nor validated.
        fields = task.parameters.model_dump(
            exclude={"kernel_shape", "refine", "choose_window", "validation_folds"}
        )
        return OneThreadStepper(
            lambda: MapProposalSearch(
                scan,
                task.defects,
                task.parameters.kernel_shape,
                self.wanted,
                **fields,
            )
        )


def save_planned_tour(proposal: MapProposal, plan: MapPlanInput, path: str | Path) -> Path:
    """Write the pixels of the best plan as a table, in the order of a tour."""
    from qpi_kernels.extraction.planning.tour import plan_tour, save_tour

    chosen = proposal.pixels(proposal.best, plan.task.observation)
    return save_tour(plan_tour(chosen), path, chosen)
