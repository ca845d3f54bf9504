"""Benchmark of Fourier transforms, profiles, cuts and symmetry beside other programs."""
