"""Steps of the preparation, one file each."""
