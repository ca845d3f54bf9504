"""An image with marked defects in a real viewer, and the extraction panel beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shared.docks import PLACED
from shared.extract_panel import add_defects, observed, open_panel

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image

    from napari_qpi.widgets.extract.dock import ExtractKernel


@pytest.fixture
def image(viewer: Viewer) -> Image:
    return viewer.add_image(observed(), name="map", **PLACED)


@pytest.fixture
def panel(viewer: Viewer, image: Image) -> ExtractKernel:
    add_defects(viewer, image)
    return open_panel(viewer)
