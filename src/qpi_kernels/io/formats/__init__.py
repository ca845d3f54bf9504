"""Readers of vendor and general file formats, one file each."""
