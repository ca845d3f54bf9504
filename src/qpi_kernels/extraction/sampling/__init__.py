"""Kernels that are sharper than the map's pixels sample: told, and solved on finer pixels."""
