"""Methods compared on a real map, whose kernel nobody knows; begin at `benchmark`."""
