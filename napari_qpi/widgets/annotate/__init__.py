"""The Annotate dock: mark defects in a Points layer; begin at `dock`."""
