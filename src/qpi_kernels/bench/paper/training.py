"""Trains one model of the benchmark, stage by stage, and reads it back."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from pathlib import Path

import numpy as np

from qpi_kernels.bench.paper.data import KernelSet, PaperData
from qpi_kernels.bench.paper.experiments import TrainedModel
from qpi_kernels.bench.paper.parameters import PaperParameters
from qpi_kernels.bench.paper.photographs import photograph_crops
from qpi_kernels.devices import choose_device
from qpi_kernels.models.folder import KernelModel, read_model
from qpi_kernels.progress import Event
from qpi_kernels.train.dataset_batches import DatasetBatches
from qpi_kernels.train.parameters import StageName, TrainingParameters
from qpi_kernels.train.published import published
from qpi_kernels.train.trained_model import MODEL_FOLDERS
from qpi_kernels.train.training import Training

__all__ = ["ModelTraining", "read_trained"]

_VALIDATION_BATCH = 8
_CHECKPOINTS = 10


class ModelTraining:
    """Train a model into ``folder/<its name>``; what a former run has finished is kept.

    Parameters
    ----------
    folder : Path
        Holds the folders of all models of the benchmark.
    model : TrainedModel
        What to train.
    data : PaperData
        Made already.
    parameters : PaperParameters
        Steps, batch size, seed, precision, device.
    """

    def __init__(
        self, folder: Path, model: TrainedModel, data: PaperData, parameters: PaperParameters
    ) -> None:
        self.folder = folder / model.name
        self.model = model
        self.parameters = parameters
        self._models = folder
        self._data = data
        self._running: Training | None = None

    def run(self) -> Generator[Event, None, None]:
        """Train all stages; yield an event after each optimiser step.

        Raises
        ------
        TrainingError, PretrainedError
            If a former run was another, or weights to start from can not be had.
        """
        if self.model.kernels_of is not None:
            self._share_kernel_vae(self.model.kernels_of)
        training_set, validation_set = self._sets()
        for stage in self.model.stages:
            self._running = self._training(stage, training_set, validation_set)
            while not self._running.done:
                event = self._running.step()
                yield Event(
                    f"{self.model.name}, {event.message}", event.step, event.total, event.values
                )
        self._running = None

    def save(self) -> None:
        """Write a checkpoint of the stage that is being trained."""
        if self._running is not None:
            self._running.save()

    def parameters_of(self, stage: StageName) -> TrainingParameters:
        """Choose the parameters of one of the model's stages."""
        steps = self.parameters.chosen("steps")
        common = {
            "stage": stage,
            "steps": steps,
            "batch_size": self.parameters.batch_size,
            "seed": self.parameters.seed,
            "device": self.parameters.device,
            "precision": self.parameters.precision,
            "start_from": self._start(),
            # The last network is kept, as published: no test has a say in the choice.
            "keep": "last",
            "validate_every": steps,
            "checkpoint_every": max(1, steps // _CHECKPOINTS),
        }
        if self.model.published_training:
            return published(
                stage,
                kernels=len(self._data.tests("all kernels")) * 4 // 5,
                observations=self.parameters.chosen("observations"),
                **common,
            )
        of_alignment = {"decoded_weight": 0.0, "log_variance": "published"}
        return TrainingParameters.model_validate(
            {
                **common,
                "warmup": min(50, max(1, steps // 10)),
                "symmetric_weight": 0.7 if self.model.symmetric else 0.0,
                **(of_alignment if self.model.preset.inputs == "maps" else {}),
            }
        )

    def _sets(self) -> tuple[KernelSet, KernelSet]:
        """Choose training and validation data of the model."""
        if self.model.data == "photographs":
            crops = photograph_crops(self.parameters.crops, seed=self.parameters.seed)
            pictures = KernelSet(
                crops,
                np.ones(len(crops), np.int64),
                np.full(len(crops), "photographs"),
                np.zeros((0, 0, 64, 64), np.float32),
                np.zeros((0, 0, 64, 64), bool),
            )
            return pictures, pictures
        training = self._data.training(
            noisy=self.model.noisy,
            families_held_out=self.model.data == "without families",
            low_symmetry=self.model.data == "with low symmetry",
        )
        return training, self._data.tests("ID", noisy=self.model.noisy)

    def _training(
        self, stage: StageName, training_set: KernelSet, validation_set: KernelSet
    ) -> Training:
        """Start or resume a stage."""
        parameters = self.parameters_of(stage)
        return Training(
            self.folder,
            parameters,
            resume=True,
            preset=self.model.preset,
            batches=self._batches(stage, training_set, parameters.batch_size, parameters.steps),
            validation=self._batches(stage, validation_set, _VALIDATION_BATCH, 1),
        )

    def _batches(
        self, stage: StageName, kernels: KernelSet, batch_size: int, steps: int
    ) -> DatasetBatches:
        """Make batches of a stage from a set of kernels."""
        alone = stage == "kernels"
        folds = kernels.folds
        if self.model.isotropic_label:
            folds = np.where(folds == 1, 0, folds)
        return DatasetBatches(
            kernels.kernels,
            None if alone else kernels.observations,
            None if alone else kernels.activations,
            folds,
            batch_size=batch_size,
            steps=steps,
            seed=self.parameters.seed,
        )

    def _start(self) -> str:
        """Name the weights that the model starts from."""
        source = self.model.starts_from
        if source is None:
            return "scratch"
        trained = self._models.resolve() / source / "kernels" / "best"
        return str(trained) if trained.is_dir() else source

    def _share_kernel_vae(self, name: str) -> None:
        """Copy another model's kernel VAE into this model's folder."""
        target = self.folder / "kernels" / "best"
        if not target.is_dir():
            partial = target.with_name(".best.new")
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(self._models / name / "kernels" / "best", partial)
            partial.rename(target)


def read_trained(folder: Path, model: TrainedModel, device: str) -> KernelModel:
    """Read a trained model, as `extract` would."""
    return read_model(folder / model.name / MODEL_FOLDERS[model.stages[-1]], choose_device(device))
