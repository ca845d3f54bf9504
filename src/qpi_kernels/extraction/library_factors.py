"""The priors that an extraction compares, from strict to none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from qpi_kernels.extraction.parameters import ExtractionError
from qpi_kernels.extraction.prior_factors import (
    ComponentFactor,
    PriorFactor,
    SmoothFactor,
    SumFactor,
    WhiteFactor,
)
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.models.folder import ModelFormatError
from qpi_kernels.models.library_prior import LibraryPrior, bundled_library

__all__ = ["IGNORANT", "named_library", "prior_factors", "smooth_waves"]

IGNORANT = "every pixel on its own"
# Amplitude of what simulated kernels do not have, over that of what they have.
_STRICT, _LOOSE = 0.05, 0.5
# Its envelope and spectrum fade no further than to this share of their means.
_FAINTEST = 0.1


def prior_factors(problem: Problem, library: LibraryPrior) -> dict[str, PriorFactor]:
    """Square roots of the priors to compare, by names in plain words.

    Parameters
    ----------
    problem : Problem
        Its ``prior`` says which; of ``learned``, only the one that knows nothing is the same for
        all planes, for the others see `LearnedPriors`.
    library : LibraryPrior
        Simulated kernels: all of them, or only their envelope and spectrum.
    """
    shape, prior = problem.parameters.kernel_shape, problem.parameters.prior
    priors: dict[str, PriorFactor] = {IGNORANT: WhiteFactor(shape)}
    if prior == "learned":
        return priors
    smooth = smooth_waves(problem, library)
    if prior == "smooth":
        return priors | {"smooth waves": smooth}
    components, _ = library.components_on(shape)
    known = ComponentFactor(torch.from_numpy(components).to(problem.device, problem.dtype))
    return priors | {
        "simulated kernels": SumFactor([(1.0, known), (_STRICT, smooth)]),
        "simulated kernels and smooth waves": SumFactor([(1.0, known), (_LOOSE, smooth)]),
    }


def smooth_waves(problem: Problem, library: LibraryPrior) -> SmoothFactor:
    """Square root of a prior that knows a library's envelope and spectrum only."""
    shape = problem.parameters.kernel_shape
    scale = max(1.0, max(have / size for have, size in zip(shape, library.shape, strict=True)))
    return SmoothFactor(
        shape,
        np.maximum(library.profile, _FAINTEST * library.profile.mean()) / scale,
        np.maximum(library.spectrum, _FAINTEST * library.spectrum.mean()),
        period=scale * library.shape[1],
        scale=scale,
        like=torch.zeros((), dtype=problem.dtype, device=problem.device),
    )


def named_library(name: str) -> LibraryPrior:
    """Read a library by the name that parameters have for it.

    Raises
    ------
    ExtractionError
        If there is no such library.
    """
    if name == "bundled":
        return bundled_library()
    try:
        path = Path(name).expanduser()
        if not path.is_file():
            raise ModelFormatError(f"there is no file {name!r}")
        return LibraryPrior.load(path)
    except (ModelFormatError, RuntimeError) as error:
        raise ExtractionError(
            f"no library of kernels: {error}; make one with `napari-qpi library`, or take "
            "library='bundled'"
        ) from error
