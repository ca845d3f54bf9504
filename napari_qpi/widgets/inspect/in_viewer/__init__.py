"""Things of the Inspect dock in the viewer: the line, the place of the cursor, pinned places."""
