"""``napari-qpi bench ...``; begin at `commands`."""
