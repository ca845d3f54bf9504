"""Extraction without marked defects; begin at `estimator`."""
