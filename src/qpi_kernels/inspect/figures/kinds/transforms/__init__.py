"""Figures of Fourier transforms."""
