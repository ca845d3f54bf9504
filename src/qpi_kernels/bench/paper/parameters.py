"""`PaperParameters`: parameters of the benchmark of the published method."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qpi_kernels.parameters import Count, Parameters

__all__ = ["PaperParameters"]

_FULL = {"steps": 700, "kernels": 100, "observations": 250, "tests": 30, "crops": 4000}
_QUICK = {"steps": 6, "kernels": 100, "observations": 6, "tests": 3, "crops": 200}
_BATCH_SIZE, _QUICK_BATCH_SIZE = 16, 8


class PaperParameters(Parameters):
    """Parameters of the benchmark of the published method; defaults depend on ``quick``."""

    quick: bool = False
    """Go through everything in minutes: shows that it runs, not how well."""
    steps: int | None = Field(default=None, ge=2)
    """Optimiser steps of each of 18 trainings; 700, quick 6."""
    kernels: int | None = Field(default=None, ge=20, le=100)
    """Kernels of the protocol, a fifth for tests; 100."""
    observations: int | None = Field(default=None, ge=1, le=250)
    """Training observations of each kernel; 250 as published, quick 6."""
    tests: int | None = Field(default=None, ge=1, le=250)
    """Test observations of each kernel; 30, quick 3."""
    seed: Count = 0
    """Seed of data, split, weights and noise."""
    precision: Literal["no", "bf16"] = "no"
    """Mixed precision of the trainings; bf16 is faster on GPUs and on recent CPUs, and gives other
    numbers."""
    device: str = "auto"
    """cpu, cuda, or auto: a GPU when there is one."""

    def chosen(self, name: Literal["steps", "kernels", "observations", "tests"]) -> int:
        """Return a parameter, or its default, which depends on ``quick``."""
        given: int | None = getattr(self, name)
        return given if given is not None else self._defaults[name]

    @property
    def batch_size(self) -> int:
        """Samples of an optimiser step."""
        return _QUICK_BATCH_SIZE if self.quick else _BATCH_SIZE

    @property
    def crops(self) -> int:
        """Crops of photographs for the surrogate of the pre-training."""
        return self._defaults["crops"]

    @property
    def budget(self) -> dict[str, int | str]:
        """All sizes, and the precision, for the report."""
        return {
            "steps_of_each_stage": self.chosen("steps"),
            "batch_size": self.batch_size,
            "kernels": self.chosen("kernels"),
            "training_observations": self.chosen("observations"),
            "test_observations": self.chosen("tests"),
            "photograph_crops": self.crops,
            "precision": self.precision,
        }

    @property
    def _defaults(self) -> dict[str, int]:
        return _QUICK if self.quick else _FULL
