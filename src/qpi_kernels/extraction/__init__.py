"""Estimators of the single-defect kernel, all behind `extract`.

Begin at `extract`; `registry` lists the methods, `parameters` what an estimator has to have.
"""

from typing import TYPE_CHECKING, Any

from qpi_kernels.extraction.cross_validation.cross_validate import (
    compare_models,
    cross_validate,
    start_cross_validation,
)
from qpi_kernels.extraction.extract import Extraction, extract, start_extraction
from qpi_kernels.extraction.parameters import EstimatorParameters, ExtractionError
from qpi_kernels.extraction.planning.plan import plan
from qpi_kernels.extraction.registry import known_estimators, make_parameters, register, unregister
from qpi_kernels.extraction.sampling.oversample import oversample
from qpi_kernels.extraction.warm_up import start_warm_up, warm_up

if TYPE_CHECKING:
    from qpi_kernels.extraction.residual_checks import check_residual
else:

    def __getattr__(name: str) -> Any:
        """Import on first use what only a finished extraction needs."""
        if name != "check_residual":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from qpi_kernels.extraction.residual_checks import check_residual

        return check_residual


__all__ = [
    "EstimatorParameters",
    "Extraction",
    "ExtractionError",
    "check_residual",
    "compare_models",
    "cross_validate",
    "extract",
    "known_estimators",
    "make_parameters",
    "oversample",
    "plan",
    "register",
    "start_cross_validation",
    "start_extraction",
    "start_warm_up",
    "unregister",
    "warm_up",
]
