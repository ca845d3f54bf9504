"""Dock widgets, one per step of the way from a scan to a kernel."""
