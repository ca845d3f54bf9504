"""Networks, their saved folders, and the bundled model."""
