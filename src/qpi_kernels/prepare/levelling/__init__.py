"""Levels of rows and terraces: robust offsets, robust surfaces, the edges of steps."""
