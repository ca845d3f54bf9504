"""Gaussian priors of kernels, from those of one simulated family to every pixel on its own."""
