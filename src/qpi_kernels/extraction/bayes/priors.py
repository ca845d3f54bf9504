"""The candidate priors of an extraction, from strict to none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from qpi_kernels.extraction.bayes.covariance_roots import (
    ComponentRoot,
    CovarianceRoot,
    SmoothRoot,
    SumRoot,
)
from qpi_kernels.extraction.bayes.parameters import PriorParameters
from qpi_kernels.extraction.parameters import ExtractionError
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.models.folder_files import ModelFormatError
from qpi_kernels.models.kernel_prior import KernelPrior, bundled_prior

__all__ = ["WHITE_PRIOR", "broad_priors", "load_prior", "narrow_priors", "smooth_waves"]

WHITE_PRIOR = "every pixel on its own"
# Amplitude of what simulated kernels do not have, over that of what they have.
_STRICT, _FREE, _LOOSE = 0.05, 0.15, 0.5
# A quick look at what all simulated kernels have in common: fewer components, and more of the rest.
_FEW_COMPONENTS, _ROUGH = 256, 0.2
# Envelope and spectrum of the rest fade no further than to this share of their means.
_MIN_SHARE = 0.1


def narrow_priors(
    problem: Problem[PriorParameters], library: KernelPrior, family: str = ""
) -> dict[str, Callable[[], CovarianceRoot]]:
    """Name the narrow priors to compare with none, with the functions that make their roots.

    For the prior ``library`` there are two: narrow, and rough but wide. Where the rough one is
    nearly as likely, `broad_priors` are worth their time.

    Parameters
    ----------
    problem : Problem
        Its ``prior`` says which.
    library : KernelPrior
        Simulated kernels.
    family : str
        Which of its families the narrow prior is of; empty for all of them.
    """
    if problem.parameters.prior == "smooth":
        return {"smooth waves": partial(smooth_waves, problem, library)}

    def narrow() -> CovarianceRoot:
        return _known(problem, library.family(family) if family else library, _STRICT)

    first = slice(_FEW_COMPONENTS)
    few = replace(library, basis=library.basis[first], spread=library.spread[first])
    name = f"simulated kernels of {family}" if family else "simulated kernels, strictly"
    return {
        name: narrow,
        "simulated kernels, roughly": partial(_known, problem, few, _ROUGH),
    }


def broad_priors(problem: Problem, library: KernelPrior) -> dict[str, Callable[[], CovarianceRoot]]:
    """Name the priors for kernels unlike those of one family, as `narrow_priors` does."""
    return {
        "simulated kernels": partial(_known, problem, library, _FREE),
        "simulated kernels and smooth waves": partial(_known, problem, library, _LOOSE),
    }


def _known(problem: Problem, library: KernelPrior, rest: float) -> CovarianceRoot:
    """Add smooth waves of a share of the amplitude to the components of simulated kernels."""
    components, _ = library.components_on(problem.parameters.kernel_shape)
    known = ComponentRoot(torch.from_numpy(components).to(problem.coverage))
    return SumRoot([(1.0, known), (rest, smooth_waves(problem, library))])


def smooth_waves(problem: Problem, library: KernelPrior) -> SmoothRoot:
    """Root a prior that has only the envelope and the spectrum of a library."""
    shape = problem.parameters.kernel_shape
    scale = library.scale_on(shape)
    return SmoothRoot(
        shape,
        np.maximum(library.profile, _MIN_SHARE * library.profile.mean()) / scale,
        np.maximum(library.spectrum, _MIN_SHARE * library.spectrum.mean()),
        period=scale * library.shape[1],
        scale=scale,
        like=problem.coverage,
    )


def load_prior(name: str) -> KernelPrior:
    """Read a library by the name that parameters have for it.

    Raises
    ------
    ExtractionError
        If there is no such library.
    """
    if name == "bundled":
        return bundled_prior()
    try:
        path = Path(name).expanduser()
        if not path.is_file():
            raise ModelFormatError(f"there is no file {name!r}")
        return KernelPrior.load(path)
    except (ModelFormatError, RuntimeError) as error:
        raise ExtractionError(
            f"no library of kernels: {error}; make one with `napari-qpi library`, or take "
            "library='bundled'"
        ) from error
