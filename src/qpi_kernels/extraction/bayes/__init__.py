"""Posterior kernels under simulated priors, chosen by their evidence; begin at `estimator`."""
