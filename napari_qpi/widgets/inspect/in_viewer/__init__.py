"""What the Inspect dock puts into the viewer: the line, the cursor's spectrum, pinned places."""
