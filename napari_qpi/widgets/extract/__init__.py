"""The Extract dock: from map and defects to a kernel layer; begin at `dock`."""
