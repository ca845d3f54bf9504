"""Fit of bands with contours of any shape by simulated kernels; begin at `method`."""
