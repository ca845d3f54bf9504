"""Electrical pickup in maps: tones of one phase, and mains whose phase every row has its own."""
