"""Estimators of the single-defect kernel, all behind `extract`."""

from qpi_kernels.extraction.extract import Extraction, ExtractionError, extract, start_extraction
from qpi_kernels.extraction.parameters import ExtractionParameters

__all__ = ["Extraction", "ExtractionError", "ExtractionParameters", "extract", "start_extraction"]
