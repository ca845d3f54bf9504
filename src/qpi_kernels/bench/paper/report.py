"""Report of the benchmark of the published method."""

from __future__ import annotations

from pydantic import BaseModel, Field

__all__ = ["PaperComparison", "PaperReport", "PaperRow", "Score"]


class Score(BaseModel):
    """One score over the kernels of a test set."""

    mean: float = Field(description="over all samples")
    min: float = Field(description="over all samples")
    max: float = Field(description="over all samples")
    spread: float = Field(description="standard deviation of the kernels' means")
    median: float = Field(description="of the kernels' means")
    low: float = Field(description="lower end of the mean's 95 % interval, kernels resampled")
    high: float = Field(description="upper end of the mean's 95 % interval")


class PaperRow(BaseModel):
    """One model on one test set."""

    table: str = Field(description="A to F")
    label: str = Field(description="what it shows")
    model: str = Field(description="folder of the model in the work folder")
    tests: str = Field(description="the test set")
    noisy: bool = Field(description="whether the observations have noise")
    steps: int = Field(
        default=0, description="optimiser steps of all its stages; 0: not trained by the benchmark"
    )
    kernels: int = Field(default=0, description="kernels of the test set")
    samples: int = Field(default=0, description="predicted kernels")
    scores: dict[str, Score] = Field(default_factory=dict, description="by name, see units")
    published_rmse: float | None = Field(default=None, description="mean, OOD, in the same unit")
    not_run: str = Field(default="", description="why there are no scores")


class PaperComparison(BaseModel):
    """Two models on the same tests: mean RMSE of the first over that of the second, minus one."""

    claim: str = Field(description="first against second")
    tests: str = Field(description="the test set")
    change: float | None = Field(default=None, description="-0.1: the first has 10 % less error")
    low: float | None = Field(
        default=None, description="lower end of its 95 % interval, kernels resampled"
    )
    high: float | None = Field(default=None, description="upper end of its 95 % interval")
    better_on: int = Field(default=0, description="kernels on which the first has less error")
    kernels: int = Field(default=0, description="kernels compared")
    published_change: float | None = Field(default=None, description="the same of the paper")


class PaperReport(BaseModel):
    """All numbers, with what they were measured with."""

    rows: list[PaperRow]
    comparisons: list[PaperComparison]
    latent: dict[str, float] = Field(description="neighbours in latent space, see units")
    units: dict[str, str] = Field(description="what each score is")
    tests: dict[str, str] = Field(description="what each test set holds")
    budget: dict[str, int | str] = Field(
        description="steps of each stage, sizes of the data, precision"
    )
    quick: bool = Field(description="numbers of a quick run say nothing about the methods")
    seed: int = Field(description="of data, split, weights, noise and resampling")
    software: str = Field(description="version and commit of the code, version of PyTorch")
    earlier: list[str] = Field(
        default_factory=list,
        description="other software or devices that did a part of the work in this folder",
    )
    machine: str = Field(description="system, device and threads")
