"""Figures of curves and scores."""
