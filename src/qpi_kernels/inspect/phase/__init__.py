"""Transforms of kernels with their sign: the phase refers to the defect itself."""
