"""The models that the benchmark trains, and what it compares."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from qpi_kernels.bench.paper.data import TestName
from qpi_kernels.models.folder import Method
from qpi_kernels.models.presets import PRESETS, ModelPreset
from qpi_kernels.models.representation import KernelRepresentation
from qpi_kernels.train.parameters import StageName

__all__ = [
    "BUNDLED",
    "COMPARISONS",
    "HUB",
    "MODELS",
    "OUR_INPUTS",
    "PUBLISHED_INPUTS",
    "ROWS",
    "PlannedComparison",
    "PlannedRow",
    "TrainedModel",
    "stages_behind",
]

TrainingData = Literal["protocol", "without families", "with low symmetry", "photographs"]

PUBLISHED_INPUTS = PRESETS["compact"].model_copy(
    update={
        "inputs": "maps",
        "baseline_inputs": "maps",
        "representation": KernelRepresentation(kind="min_max"),
    }
)
"""The published inputs and scaling of kernels, at the compact size.

Losses are the published ones as well; rates and schedule are not: those suit 125 000 steps.
"""
OUR_INPUTS = PRESETS["compact"].model_copy(
    update={"inputs": "estimates", "baseline_inputs": "estimates"}
)
"""Least-squares estimates as inputs and asinh amplitudes, for both methods."""

BUNDLED: dict[str, Method] = {"bundled": "two_step", "bundled_one_step": "one_step"}
"""Names and methods of the models that come with the package, which are not trained here."""

_TWO_STEP: tuple[StageName, ...] = ("kernels", "alignment")


@dataclass(frozen=True)
class TrainedModel:
    """A model to train."""

    name: str
    """Name of its folder, too."""
    preset: ModelPreset
    """Size, inputs and representation."""
    stages: tuple[StageName, ...] = _TWO_STEP
    """Stages to train, in this order."""
    data: TrainingData = "protocol"
    """Name of the training data."""
    noisy: bool = False
    """True if observations have noise."""
    symmetric: bool = True
    """True if the kernel VAE has the symmetric loss."""
    isotropic_label: bool = False
    """Label kernels without symmetry as isotropic, which the loss then holds them to."""
    kernels_of: str | None = None
    """Name of the model whose kernel VAE it shares."""
    starts_from: str | None = None
    """Name of the model whose kernel VAE all its networks start from, or a hub id."""
    published_training: bool = False
    """Rates, schedule and batch order as published instead of those for short trainings."""


MODELS = (
    TrainedModel("two_step", PUBLISHED_INPUTS),
    TrainedModel("one_step", PUBLISHED_INPUTS, ("one-step",)),
    TrainedModel("our_inputs_two_step", OUR_INPUTS),
    TrainedModel("our_inputs_one_step", OUR_INPUTS, ("one-step",)),
    TrainedModel("no_symmetric_loss", PUBLISHED_INPUTS, symmetric=False),
    TrainedModel("photographs", PUBLISHED_INPUTS, ("kernels",), "photographs", symmetric=False),
    TrainedModel("from_photographs", PUBLISHED_INPUTS, starts_from="photographs"),
    TrainedModel(
        "noise_trained", PUBLISHED_INPUTS, ("alignment",), noisy=True, kernels_of="two_step"
    ),
    TrainedModel("families_held_out", OUR_INPUTS, data="without families"),
    TrainedModel(
        "low_symmetry_as_isotropic", OUR_INPUTS, data="with low symmetry", isotropic_label=True
    ),
    TrainedModel(
        "low_symmetry_without_loss", OUR_INPUTS, data="with low symmetry", symmetric=False
    ),
)
"""In an order in which each finds what it needs."""

HUB = (
    TrainedModel(
        "hub_pretrained",
        PRESETS["paper"],
        starts_from=PRESETS["paper"].pretrained,
        published_training=True,
    ),
    TrainedModel("hub_from_scratch", PRESETS["paper"], published_training=True),
)
"""The published size, with and without the published pre-training; needs a GPU."""


def stages_behind(name: str) -> int:
    """Count the trainings behind a model, those of networks that it takes over included.

    Each has the same number of steps: a two-step model has two stages and twice the steps of a
    one-step model, as published. 0 for a model that is not trained here.
    """
    found = next((model for model in (*MODELS, *HUB) if model.name == name), None)
    if found is None:
        return 0
    shared = 0 if found.kernels_of is None else 1
    before = 0 if found.starts_from is None else stages_behind(found.starts_from)
    return len(found.stages) + shared + before


@dataclass(frozen=True)
class PlannedRow:
    """A line of the tables."""

    table: str
    """Its letter."""
    label: str
    """Name of the row, for display."""
    model: str
    """Name of the model."""
    tests: TestName
    """Name of the test set."""
    noisy: bool = False
    """True if the observations have noise."""
    reconstruct: bool = False
    """Test the kernel VAE alone: it is shown the true kernels."""
    published: float | None = None
    """The published RMSE (mean), OOD."""


_PUBLISHED = "published inputs and losses, compact size"

ROWS = (
    PlannedRow("A", f"two-step, {_PUBLISHED}", "two_step", "ID"),
    PlannedRow("A", f"one-step, {_PUBLISHED}", "one_step", "ID"),
    PlannedRow("A", f"two-step, {_PUBLISHED}", "two_step", "OOD", published=0.1297),
    PlannedRow("A", f"one-step, {_PUBLISHED}", "one_step", "OOD", published=0.1528),
    PlannedRow("A", "two-step, our inputs", "our_inputs_two_step", "ID"),
    PlannedRow("A", "one-step, our inputs", "our_inputs_one_step", "ID"),
    PlannedRow("A", "two-step, our inputs", "our_inputs_two_step", "OOD"),
    PlannedRow("A", "one-step, our inputs", "our_inputs_one_step", "OOD"),
    PlannedRow("B", "with symmetric loss", "two_step", "OOD", published=0.1297),
    PlannedRow("B", "without symmetric loss", "no_symmetric_loss", "OOD", published=0.1372),
    PlannedRow("C", "pre-trained (hub)", "hub_pretrained", "OOD", published=0.1297),
    PlannedRow("C", "from scratch, published size", "hub_from_scratch", "OOD", published=0.1643),
    PlannedRow("C", "surrogate: compact, pre-trained on photographs", "from_photographs", "OOD"),
    PlannedRow("C", "surrogate: compact, from scratch", "two_step", "OOD"),
    PlannedRow("D", "two-step, trained on clean maps", "two_step", "OOD", noisy=True),
    PlannedRow("D", "two-step, trained on noisy maps", "noise_trained", "OOD", noisy=True),
    PlannedRow("D", "one-step, trained on clean maps", "one_step", "OOD", noisy=True),
    PlannedRow("D", "two-step, our inputs, clean maps", "our_inputs_two_step", "OOD", noisy=True),
    PlannedRow("D", "one-step, our inputs, clean maps", "our_inputs_one_step", "OOD", noisy=True),
    *(
        PlannedRow("E", label, model, "OOD", noisy)
        for noisy in (False, True)
        for label, model in (
            ("bundled two-step model (estimates)", "bundled"),
            ("bundled one-step model (maps)", "bundled_one_step"),
        )
    ),
    *(
        PlannedRow(
            "F", f"{label}{', kernel VAE alone' if alone else ''}", model, tests, False, alone
        )
        for tests in ("OOD 1-fold", "OOD 2-fold")
        for alone in (True, False)
        for label, model in (
            ("symmetric loss, 1-fold labelled isotropic", "low_symmetry_as_isotropic"),
            ("no symmetric loss", "low_symmetry_without_loss"),
            ("symmetric loss, no 1-fold in training", "our_inputs_two_step"),
        )
    ),
    PlannedRow("F", "all families in training", "our_inputs_two_step", "OOD families"),
    PlannedRow("F", "four families held out", "families_held_out", "OOD families"),
    PlannedRow("F", "four families held out", "families_held_out", "families"),
)


@dataclass(frozen=True)
class PlannedComparison:
    """Two rows on the same tests: by how much the first has a smaller RMSE than the second."""

    claim: str
    first: str
    second: str
    tests: TestName = "OOD"
    noisy: bool = False
    published: tuple[float, float] | None = None


# What differs beside the method is said; the first two are of the method with equal inputs.
_METHODS = (
    PlannedComparison(
        "two-step against one-step, published inputs",
        "two_step",
        "one_step",
        published=(0.1297, 0.1528),
    ),
    PlannedComparison(
        "two-step against one-step, our inputs", "our_inputs_two_step", "our_inputs_one_step"
    ),
    PlannedComparison(
        "method and inputs: two-step, ours against one-step, published",
        "our_inputs_two_step",
        "one_step",
    ),
    PlannedComparison(
        "method and inputs: bundled two-step against bundled one-step",
        "bundled",
        "bundled_one_step",
    ),
)

COMPARISONS = (
    *_METHODS,
    *(replace(one, noisy=True, published=None) for one in _METHODS),
    PlannedComparison(
        "our inputs against published ones, two-step", "our_inputs_two_step", "two_step"
    ),
    PlannedComparison(
        "our inputs against published ones, one-step", "our_inputs_one_step", "one_step"
    ),
    PlannedComparison(
        "with against without symmetric loss",
        "two_step",
        "no_symmetric_loss",
        published=(0.1297, 0.1372),
    ),
    PlannedComparison(
        "pre-trained against from scratch",
        "hub_pretrained",
        "hub_from_scratch",
        published=(0.1297, 0.1643),
    ),
    PlannedComparison(
        "surrogate: photographs against from scratch", "from_photographs", "two_step"
    ),
    PlannedComparison(
        "trained on noisy against on clean maps", "noise_trained", "two_step", noisy=True
    ),
    PlannedComparison(
        "1-fold kernels: no loss against labelled isotropic",
        "low_symmetry_without_loss",
        "low_symmetry_as_isotropic",
        "OOD 1-fold",
    ),
    PlannedComparison(
        "2-fold kernels: no loss against with loss",
        "low_symmetry_without_loss",
        "low_symmetry_as_isotropic",
        "OOD 2-fold",
    ),
    PlannedComparison(
        "families known against held out",
        "our_inputs_two_step",
        "families_held_out",
        "OOD families",
    ),
)
