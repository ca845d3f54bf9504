"""`check_residual`: which assumption of the sum of kernels a residual contradicts."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.residual_checks.alternatives import (
    explained_alternatives,
    told_reasons,
)
from qpi_kernels.extraction.residual_checks.marked_residual import MarkedResidual
from qpi_kernels.extraction.residual_checks.profiles import around_marks, residual_spectrum
from qpi_kernels.extraction.residual_checks.scan_order import change_patterns
from qpi_kernels.progress import Event, GeneratorStepper, Stepper, follow, portion
from qpi_kernels.quality import Quality, Reason, ResidualChecks, lowest_trust
from qpi_kernels.result import KernelResult

__all__ = ["CheckedExtraction", "check_residual"]

# Codes of a kernel that is too sharp for its pixels, and of one larger than its window.
_SHARP, _WAVES = "undersampled", "waves_beyond_window"
# A kernel follows what is wrong about fewer marks.
_MIN_MARKS = 4


def check_residual(result: KernelResult, mask: NDArray[np.bool_] | None = None) -> ResidualChecks:
    """Test the residual of an extraction for what a sum of kernels leaves out.

    Each alternative is a change of the model: marks elsewhere, another strength of each, a jump or
    a drift along the slow axis, scattering between marks, another kind of defect, unmarked ones.
    The whitened residual is projected on the map's derivatives with respect to it (a score test;
    C. R. Rao, Proc. Camb. Phil. Soc. 44, 50, 1948), and the chi-squared that it would explain
    compared with that of noise. What the kernel follows anyhow is projected out. The alternative
    that explains most is told; one of few numbers rather than one of many that imitates it.

    Parameters
    ----------
    result : KernelResult
        Of ``bayes`` or ``least_squares``. Of a stack, the plane with the clearest kernel counts.
    mask : array of bool, (rows, columns), optional
        True where a pixel counted in the extraction; without, all that hold numbers.

    Returns
    -------
    ResidualChecks
        Chi-squared of each alternative with its usual value, reasons, and profiles to draw; empty
        where there is no kernel or no residual.
    """
    residual = MarkedResidual.of(result, mask)
    if residual is None:
        return ResidualChecks()
    around = around_marks(residual)
    waves, spectrum, model, band = residual_spectrum(residual)
    reasons: list[Reason] = []
    explained: dict[str, float] = {}
    usual: dict[str, float] = {}
    if len(result.defects) >= _MIN_MARKS:
        patterns = change_patterns(residual)
        found = explained_alternatives(residual, patterns)
        explained = {name: float(one.chi2) for name, one in found.items()}
        usual = {name: float(one.usual) for name, one in found.items()}
        energy = float(np.square(patterns[0], dtype=np.float64).sum())
        sharp = [one.number or 0.0 for one in result.quality.reasons if one.code == _SHARP]
        reasons += told_reasons(
            found, energy, result.quality.expected_error, short_waves=max(sharp, default=0.0)
        )
    if around.beyond > around.usual:
        reasons.append(Reason(code=_WAVES, number=around.beyond, threshold=around.usual))
    return ResidualChecks(
        explained=explained,
        usual=usual,
        reasons=reasons,
        radius_px=around.radius.tolist(),
        around=around.mean.tolist(),
        around_band=around.band.tolist(),
        power=around.power.tolist(),
        power_band=around.power_band.tolist(),
        wave_vector=waves.tolist(),
        spectrum=spectrum.tolist(),
        noise_spectrum=model.tolist(),
        spectrum_band=band.tolist(),
    )


class CheckedExtraction(GeneratorStepper[KernelResult]):
    """Run an estimator and check its residual, as a stepper.

    Parameters
    ----------
    problem : Problem
        The checked input.
    stepper : Stepper
        The estimator at work.
    """

    def __init__(self, problem: Problem, stepper: Stepper[KernelResult]) -> None:
        self._problem = problem
        self._stepper = stepper

    def _run(self) -> Generator[Event, None, KernelResult]:
        """Follow the estimator and add the findings to its quality."""
        result = yield from portion(follow(self._stepper), 0.0, 0.96)
        return (yield from portion(self._check(result), 0.96, 1.0))

    def _check(self, result: KernelResult) -> Generator[Event, None, KernelResult]:
        """Check a result."""
        yield Event("Checking the residual", 0, 1)
        checks = check_residual(result, self._problem.mask)
        yield Event("Checking the residual", 1, 1)
        return replace(result, quality=_with_checks(result.quality, checks))


def _with_checks(quality: Quality, checks: ResidualChecks) -> Quality:
    """Add findings to a quality; trust only falls."""
    reasons = [*quality.reasons, *checks.reasons]
    trust = lowest_trust(reasons)
    return quality.model_copy(update={"checks": checks, "reasons": reasons, "trust": trust})
