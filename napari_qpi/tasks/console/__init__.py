"""Computations that are started from napari's console; begin at `napari_qpi.console`."""
