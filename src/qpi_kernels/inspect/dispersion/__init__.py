"""Dispersion, lifetimes and scattering phases from a kernel's waves; begin at `fit`."""
