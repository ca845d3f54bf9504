"""Steps of the preparation, one file each, in rooms by what they change."""
