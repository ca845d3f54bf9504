"""The Train dock: networks trained on simulated maps; begin at `dock`."""
