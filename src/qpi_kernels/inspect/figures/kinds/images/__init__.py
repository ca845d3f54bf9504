"""Figures of images in real space."""
