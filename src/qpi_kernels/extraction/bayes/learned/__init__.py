"""Priors made by a trained network, for `prior="learned"`; begin at `priors`."""
