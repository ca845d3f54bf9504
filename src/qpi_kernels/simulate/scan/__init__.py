"""Simulation of a whole scan from one set of parameters; begin at `simulation`."""
