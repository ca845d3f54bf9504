"""Work behind the docks, without any Qt widget."""
