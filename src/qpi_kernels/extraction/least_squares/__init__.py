"""Extraction by regularised least squares; begin at `estimator`."""
