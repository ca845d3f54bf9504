"""Changes of a report when pixels move: labels move along, interpolation colours the noise."""
