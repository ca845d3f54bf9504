"""Estimators of the single-defect kernel, all behind `extract`.

Begin at `extract`; `registry` lists the methods, `parameters` what an estimator has to have.
"""

from qpi_kernels.extraction.extract import Extraction, extract, start_extraction
from qpi_kernels.extraction.parameters import EstimatorParameters, ExtractionError
from qpi_kernels.extraction.registry import estimators, make_parameters, register

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
