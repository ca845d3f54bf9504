"""The Inspect dock: from a kernel to physics and figures, in one panel a file."""
