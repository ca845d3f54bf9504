"""Estimators of the single-defect kernel, all behind `extract`.

Begin at `extract`; `estimators` is the registry, `parameters` what an estimator has to have.
"""

from qpi_kernels.extraction.estimators import estimators, make_parameters, register
from qpi_kernels.extraction.extract import Extraction, extract, start_extraction
from qpi_kernels.extraction.parameters import EstimatorParameters, ExtractionError

__all__ = [
    "EstimatorParameters",
    "Extraction",
    "ExtractionError",
    "estimators",
    "extract",
    "make_parameters",
    "register",
    "start_extraction",
]
