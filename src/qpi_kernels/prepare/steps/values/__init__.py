"""Steps that change values: levels, periodic disturbances, normalisation, smoothing."""
