"""The napari face of `qpi_kernels`: readers, writers, sample data, dock widgets and console calls.

Importing this package imports neither napari, Qt nor torch.
"""
