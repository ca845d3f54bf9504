"""The Simulate dock: maps with known truth; begin at `dock`."""
