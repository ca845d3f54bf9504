"""`TrainingParameters`: parameters of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from qpi_kernels.parameters import Count, NonNegative, Parameters, Pixels, PositiveCount, Share

if TYPE_CHECKING:
    from qpi_kernels.models.presets import ModelPreset

__all__ = ["StageName", "TrainingError", "TrainingParameters", "starting_weights"]

StageName = Literal["kernels", "alignment", "one-step"]


class TrainingError(ValueError):
    """A training can not be done as asked; the message says what to change."""


class TrainingParameters(Parameters):
    """Validated parameters of a training; saved with its checkpoints and in the model's card."""

    preset: Literal["compact", "paper"] = "compact"
    """compact trains on a CPU; paper has the published sizes, needs a GPU, and takes the published
    value of every option that is left out."""
    stage: StageName = "kernels"
    """kernels: the kernel VAE; alignment: the observation encoder on the frozen VAE's latents; one-
    step: the baseline."""
    start_from: str | None = None
    """Weights to start from: bundled, or the folder of a model trained earlier, which this training
    then refines; a hub id or folder of a diffusers AutoencoderKL of the preset's sizes; or scratch.
    Left out, the preset's own: none for compact."""
    data: str | None = None
    """Folder with a data set in the published layout, as napari-qpi simulate --protocol paper makes
    it; a fifth of its kernels is held out. Left out, data are simulated as they are needed."""
    clean: bool = False
    """Take the data set's clean observations even where it has noisy ones."""
    steps: PositiveCount = 20_000
    """Optimiser steps in all."""
    batch_size: int = Field(default=32, ge=0, multiple_of=8)
    """Samples per step over all processes; 0 takes as many as the memory of a GPU holds (up to 512,
    elsewhere 32), and a rate that grows with the root of their number over 32."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Peak learning rate of AdamW."""
    warmup: Count = 200
    """Steps over which the rate rises."""
    schedule: Literal["cosine", "steps"] = "cosine"
    """Fall of the rate: half a cosine down to a fiftieth, or by steps."""
    decay: float = Field(default=0.97, gt=0, le=1)
    """Factor on the rate at each fall (steps)."""
    decay_every: PositiveCount = 100
    """Optimiser steps from fall to fall (steps)."""
    weight_decay: NonNegative = 1e-4
    """AdamW's weight decay."""
    gradient_clip: NonNegative = 1.0
    """Largest norm of the gradient; 0 for any."""
    symmetric_weight: NonNegative = 0.7
    """Weight of the symmetric loss (kernels)."""
    divergence_weight: NonNegative = 1e-6
    """Weight of the Kullback-Leibler term."""
    decoded_weight: NonNegative = 10.0
    """Weight of the decoded kernel's error beside the latents' (alignment)."""
    log_variance: Literal["error", "published"] = "error"
    """Target of the encoder's log-variance (alignment): the size of its own error, so that
    samples spread as far as answers err; or, as published, the kernel VAE's."""
    average: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the averaged weights that are kept; 0 keeps the weights themselves."""
    keep: Literal["best", "last"] = "best"
    """The network to keep: of the smallest validation error, or the last."""
    precision: Literal["no", "fp16", "bf16"] = "no"
    """Mixed precision; on a CPU no, or bf16 where its processor knows it."""
    compile: bool = False
    """Compile the networks by torch.compile: a minute or more at the start, then quicker steps on a
    GPU."""
    held_out: tuple[str, ...] = ()
    """Families of simulated kernels to leave out."""
    noise: Annotated[float, Field(ge=0)] | Literal["mixture"] = "mixture"
    """Noise of simulated observations: standard deviation of white noise alone, in units of the
    signal's; mixture draws noise and artefacts as real scans have them."""
    most_defects: PositiveCount = 40
    """Most defects in an observation."""
    larger_maps: Share = 0.0
    """Share of the batches whose maps are twice as high and wide as the kernel (alignment, where
    the encoder sees estimates)."""
    jitter_px: Pixels = Field(default=0.3, ge=0)
    """Click error of the marked defects in training."""
    validate_every: PositiveCount = 500
    """Steps between validations."""
    validation_samples: int = Field(default=128, ge=4, multiple_of=4)
    """Samples of a validation."""
    checkpoint_every: PositiveCount = 250
    """Steps between checkpoints."""
    patience: Count = 0
    """Stop after so many validations without a gain; 0 never does."""
    seed: Count = 0
    """Seed of weights, data and noise."""
    device: str = "auto"
    """cpu, cuda, or auto: a GPU when there is one."""


def starting_weights(parameters: TrainingParameters, preset: ModelPreset) -> str | None:
    """Name the source of a training's first weights, None for random ones."""
    source = parameters.start_from or preset.pretrained
    return None if source == "scratch" else source
