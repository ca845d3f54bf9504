"""`TrainingParameters`: every choice of a training, written once for all faces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from qpi_kernels.models.presets import ModelPreset

__all__ = ["StageName", "TrainingError", "TrainingParameters", "starting_weights"]

StageName = Literal["kernels", "alignment", "one-step"]


class TrainingError(ValueError):
    """A training can not be done as asked; the message says what to change."""


class TrainingParameters(BaseModel):
    """Validated parameters of a training; saved with its checkpoints and in the model's card."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: Literal["compact", "paper"] = Field(
        default="compact",
        description=(
            "compact trains on a CPU; paper has the published sizes, needs a GPU, and takes the "
            "published value of every option that is left out."
        ),
    )
    stage: StageName = Field(
        default="kernels",
        description=(
            "kernels: the kernel VAE; alignment: the observation encoder on the frozen VAE's "
            "latents; one-step: the baseline."
        ),
    )
    start_from: str | None = Field(
        default=None,
        description=(
            "Weights to start from: a hub id or folder of a diffusers AutoencoderKL of the "
            "preset's sizes, or scratch. Left out, the preset's own: none for compact."
        ),
    )
    data: str | None = Field(
        default=None,
        description=(
            "Folder with a data set in the published layout, as napari-qpi simulate --protocol "
            "paper makes it; a fifth of its kernels is held out. Left out, data are simulated "
            "as they are needed."
        ),
    )
    clean: bool = Field(
        default=False,
        description="Take the data set's clean observations even where it has noisy ones.",
    )
    steps: int = Field(default=20_000, ge=1, description="Optimiser steps in all.")
    batch_size: int = Field(
        default=32, ge=8, multiple_of=8, description="Samples per step over all processes."
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="Peak learning rate of AdamW.")
    warmup: int = Field(default=200, ge=0, description="Steps over which the rate rises.")
    schedule: Literal["cosine", "steps"] = Field(
        default="cosine",
        description="How the rate falls: half a cosine down to a fiftieth, or by steps.",
    )
    decay: float = Field(
        default=0.97, gt=0, le=1, description="Factor on the rate at each fall (steps)."
    )
    decay_every: int = Field(
        default=100, ge=1, description="Optimiser steps from fall to fall (steps)."
    )
    weight_decay: float = Field(default=1e-4, ge=0, description="AdamW's weight decay.")
    gradient_clip: float = Field(
        default=1.0, ge=0, description="Largest norm of the gradient; 0 for any."
    )
    symmetric_weight: float = Field(
        default=0.7, ge=0, description="Weight of the symmetric loss (kernels)."
    )
    divergence_weight: float = Field(
        default=1e-6, ge=0, description="Weight of the Kullback-Leibler term."
    )
    decoded_weight: float = Field(
        default=10.0,
        ge=0,
        description="Weight of the decoded kernel's error beside the latents' (alignment).",
    )
    log_variance: Literal["error", "published"] = Field(
        default="error",
        description=(
            "What the encoder's log-variance learns (alignment): the size of its own error, so "
            "that samples spread as far as answers err; or, as published, the kernel VAE's."
        ),
    )
    average: float = Field(
        default=0.999,
        ge=0,
        lt=1,
        description="Decay of the averaged weights that are kept; 0 keeps the weights themselves.",
    )
    keep: Literal["best", "last"] = Field(
        default="best",
        description="The network to keep: of the smallest validation error, or the last.",
    )
    precision: Literal["no", "fp16", "bf16"] = Field(
        default="no",
        description="Mixed precision; on a CPU no, or bf16 where its processor knows it.",
    )
    held_out: tuple[str, ...] = Field(
        default=(), description="Families of simulated kernels to leave out."
    )
    noise: Annotated[float, Field(ge=0)] | Literal["mixture"] = Field(
        default="mixture",
        description=(
            "Noise of simulated observations: standard deviation of white noise alone, in units of "
            "the signal's; mixture draws noise and artefacts as real scans have them."
        ),
    )
    most_defects: int = Field(default=40, ge=1, description="Most defects in an observation.")
    larger_maps: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description=(
            "Share of the batches whose maps are twice as high and wide as the kernel "
            "(alignment, where the encoder sees estimates)."
        ),
    )
    jitter_px: Annotated[float, Field(ge=0)] = Field(
        default=0.3,
        description="Click error of the marked defects in training.",
        json_schema_extra={"unit": "px"},
    )
    validate_every: int = Field(default=500, ge=1, description="Steps between validations.")
    validation_samples: int = Field(
        default=128, ge=4, multiple_of=4, description="Samples of a validation."
    )
    checkpoint_every: int = Field(default=250, ge=1, description="Steps between checkpoints.")
    patience: int = Field(
        default=0, ge=0, description="Stop after so many validations without a gain; 0 never does."
    )
    seed: int = Field(default=0, ge=0, description="Seed of weights, data and noise.")
    device: str = Field(default="auto", description="cpu, cuda, or auto: a GPU when there is one.")


def starting_weights(parameters: TrainingParameters, preset: ModelPreset) -> str | None:
    """Where a training's first weights come from, None for random ones."""
    source = parameters.start_from or preset.pretrained
    return None if source == "scratch" else source
