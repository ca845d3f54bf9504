"""The Prepare dock: a list of steps with a live preview; begin at `dock`."""
