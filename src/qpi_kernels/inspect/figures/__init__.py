"""Figures as papers show them, with their numbers.

Each kind is one file in `kinds`; `figure` draws and saves one, `energy_movie` a stack.
"""
