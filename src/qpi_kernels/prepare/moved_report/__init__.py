"""What a move of the pixels means for a report: labels move, interpolation colours the noise."""
