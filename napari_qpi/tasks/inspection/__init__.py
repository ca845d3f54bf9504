"""State and scripts of the Inspect dock, without any Qt widget."""
