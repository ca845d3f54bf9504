"""The plots of the Inspect dock: curves with errors, and stacks over bias."""
