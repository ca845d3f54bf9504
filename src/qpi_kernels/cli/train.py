"""``napari-qpi train``: the networks, stage by stage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qpi_kernels.cli.batch import FileResult, FileTask, exit_if_failed, run_batch
from qpi_kernels.cli.common_options import Debug, output_option
from qpi_kernels.cli.parameter_options import with_parameters
from qpi_kernels.train.parameters import TrainingParameters
from qpi_kernels.train.published import published

__all__ = ["train"]


@with_parameters(parameters=TrainingParameters)
def train(
    *,
    output: Annotated[
        Path,
        output_option("FOLDER", "Where checkpoints go; a folder per stage."),
    ],
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help=(
                "Go on from the last checkpoint, if there is one, with its choices for all "
                "options that are left out."
            ),
        ),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help=(
                "Processes that simulate data beside the training. Left out, as many as the device "
                "wants: none for a CPU."
            ),
        ),
    ] = None,
    debug: Debug = False,
    parameters: TrainingParameters,
) -> None:
    """Train a network on simulated data; Ctrl-C leaves a checkpoint to resume from.

    The stages kernels and alignment make a two-step model in FOLDER/model, the stage one-step the
    baseline in FOLDER/one_step_model; extract takes both with --model.
    """

    def work(job: FileTask) -> FileResult:
        return run_training(job, parameters, resume=resume, workers=workers)

    exit_if_failed(run_batch([output], work, debug=debug))


def with_preset(parameters: TrainingParameters) -> TrainingParameters:
    """Fill what was left out with the published values, where the preset is the paper's."""
    if parameters.preset != "paper":
        return parameters
    return published(**parameters.model_dump(exclude_unset=True))


def run_training(
    job: FileTask, parameters: TrainingParameters, *, resume: bool, workers: int | None
) -> FileResult:
    """Train into ``job.path`` until done or cancelled; a cancel writes a checkpoint first."""
    from qpi_kernels.progress import Cancelled, CancelledResumably, drive
    from qpi_kernels.train.files.checkpoints import resumed_parameters
    from qpi_kernels.train.training import Training

    begun = resumed_parameters(job.path, parameters) if resume else None
    parameters = begun or with_preset(parameters)
    training = Training(job.path, parameters, resume=resume, workers=workers)
    try:
        drive(training, job.on_event, job.cancel)
    except Cancelled:
        training.save()
        training.release()
        raise CancelledResumably(
            f"step {training.step_number} is saved; the same command with --resume goes on"
        ) from None
    text = f"{parameters.stage}: step {training.step_number}, best error {training.best:.4g}"
    model = training.model_folder
    return FileResult(job.path, text if model is None else f"{text}; the model is {model}")
