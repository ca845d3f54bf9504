"""Selection of the priors of planes by their evidence."""
