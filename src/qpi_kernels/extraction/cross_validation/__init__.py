"""Prediction of left-out parts of a map, which compares estimators without a known kernel.

Begin at `cross_validate`; `run` leaves out and extracts, `validation` is the result.
"""
