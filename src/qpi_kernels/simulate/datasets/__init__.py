"""Data sets: training batches on the spot, the published protocol, and its files."""
