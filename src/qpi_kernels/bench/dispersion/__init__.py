"""The benchmark from a simulated grid to effective mass, lifetime and phase shift."""
