"""The candidate priors of an extraction, from strict to none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.bayes.parameters import PriorParameters
from qpi_kernels.extraction.bayes.priors.covariance_roots import (
    ComponentRoot,
    CovarianceRoot,
    SumRoot,
    WaveRoot,
)
from qpi_kernels.extraction.bayes.priors.near_symmetry import NearlySymmetricRoot, NearSymmetry
from qpi_kernels.extraction.parameters import ExtractionError
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.models.folder_files import ModelFormatError
from qpi_kernels.models.kernel_prior import FamilyPrior, KernelPrior, bundled_prior

__all__ = [
    "BROAD_PRIOR",
    "WHITE_PRIOR",
    "broad_prior",
    "components_on",
    "level_prior",
    "load_prior",
    "narrow_prior",
    "smooth_waves",
]

WHITE_PRIOR = "every pixel on its own"
BROAD_PRIOR = "simulated kernels"
# Amplitude of what simulated kernels do not have, over that of what they have.
_STRICT, _FREE = 0.05, 0.15
# Share of the variance that a family's rotations may change: interpolation turns atoms badly.
_UNLIKE = 0.05
# Envelope and spectrum of the rest fade no further than to this share of their means.
_MIN_SHARE = 0.1
# Level of a kernel that its family does not tell, over the levels of all simulated kernels; and its
# change towards an edge of the window, over that.
_LEVEL, _SLOPE = 2.0, 0.25


def narrow_prior(
    problem: Problem[PriorParameters], library: KernelPrior, family: str = ""
) -> tuple[str, Callable[[], CovarianceRoot]]:
    """Name the narrowest prior to compare with none, with the function that makes its root.

    Parameters
    ----------
    problem : Problem
        Its ``prior`` says which.
    library : KernelPrior
        Simulated kernels.
    family : str
        Which of its families the prior is of; empty for all of them.
    """
    if problem.parameters.prior == "smooth":
        return "smooth waves", partial(smooth_waves, problem, library)

    def narrow() -> CovarianceRoot:
        return _known(problem, library, _STRICT, family)

    return f"simulated kernels of {family}" if family else "simulated kernels, strictly", narrow


def broad_prior(problem: Problem, library: KernelPrior) -> CovarianceRoot:
    """Root the prior of kernels that are only partly those of the library."""
    return _known(problem, library, _FREE)


def _known(problem: Problem, library: KernelPrior, rest: float, family: str = "") -> CovarianceRoot:
    """Add smooth waves of a share of the amplitude to the components of simulated kernels."""
    components = components_on(library, problem.parameters.kernel_shape, family)
    known = ComponentRoot(torch.from_numpy(components).to(problem.coverage))
    own = library.families[family] if family else library
    waves: CovarianceRoot = smooth_waves(
        problem, replace(library, profile=own.profile, spectrum=own.spectrum)
    )
    if isinstance(own, FamilyPrior) and own.missing > rest**2:
        # Most of a crystal's atoms are no component, but they have its symmetry.
        rest, shape = own.missing**0.5, problem.parameters.kernel_shape
        shares = NearSymmetry.of_fold(own.fold, _UNLIKE, square=shape[0] == shape[1])
        waves = NearlySymmetricRoot(waves, shares, shape, problem.coverage)
    return SumRoot([(1.0, known), (rest, waves), (1.0, level_prior(problem, library))])


def level_prior(problem: Problem, library: KernelPrior) -> ComponentRoot:
    """Root the prior of what a background may hide of a kernel: its level and its slopes.

    A family knows the level of its own kernels well, but a kernel of another may have any, and the
    map hardly tells where defects keep apart.
    """
    window = problem.parameters.kernel_shape
    rows, columns = (np.linspace(-1, 1, side) for side in window)
    shapes = np.stack(
        [
            np.ones(window),
            _SLOPE * np.broadcast_to(rows[:, None], window),
            _SLOPE * np.broadcast_to(columns, window),
        ]
    )
    level = float(np.square(components_on(library, window).mean(axis=(1, 2))).sum()) ** 0.5
    return ComponentRoot(torch.from_numpy(_LEVEL * level * shapes).to(problem.coverage))


@lru_cache(maxsize=4)
def components_on(
    library: KernelPrior, window: tuple[int, int], family: str = ""
) -> NDArray[np.float32]:
    """Keep the last components, times their spread, of a library or one of its families.

    As from `KernelPrior.components_on`.
    """
    return (library.family(family) if family else library).components_on(window)[0]


def smooth_waves(problem: Problem, library: KernelPrior) -> WaveRoot:
    """Root a prior that has only the envelope and the spectrum of a library."""
    shape = problem.parameters.kernel_shape
    scale = library.scale_on(shape)
    return WaveRoot.round(
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
