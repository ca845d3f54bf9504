"""Conversions between napari layers and the library's arrays and tables."""
