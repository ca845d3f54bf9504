"""Python scripts that repeat without napari what a dock did."""
