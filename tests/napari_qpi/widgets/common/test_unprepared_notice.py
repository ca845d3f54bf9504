"""The line on a topograph that is not levelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pytestqt.qtbot import QtBot

from napari_qpi.layers.conversion import add_layers
from napari_qpi.layers.prepared import prepared_of
from napari_qpi.layers.scan import scan_layers
from napari_qpi.widgets.extract.dock import ExtractKernel
from qpi_kernels.io import Channel, scan_dataset
from shared.docks import open_dock

if TYPE_CHECKING:
    from napari import Viewer


def test_a_tilted_topograph_is_noticed_and_levelled_by_the_button(
    qtbot: QtBot, viewer: Viewer
) -> None:
    rows, columns = np.indices((48, 48))
    noise = np.random.default_rng(2).normal(scale=0.01, size=(48, 48))
    for name, tilt in (("tilted", 0.05), ("flat", 0.0)):
        channel = Channel("Z", tilt * (rows + columns) + noise, "nm", "topography", "forward")
        scan = scan_dataset([channel], source=name, format="", pixel_nm=(0.5, 0.5))
        add_layers(viewer, scan_layers(scan, name))
    tilted, flat = viewer.layers
    dock = open_dock(viewer, "Extract kernel", ExtractKernel)
    notice = dock.notice
    dock.image_choice.layer = flat
    qtbot.waitUntil(lambda: notice.knows(flat), timeout=10_000)
    assert notice.isHidden()
    dock.image_choice.layer = tilted
    qtbot.waitUntil(lambda: not notice.isHidden(), timeout=10_000)
    assert notice.words.text().startswith("This topograph is not levelled: the image is tilted by")
    notice.button.click()
    qtbot.waitUntil(lambda: dock.image_choice.layer not in (tilted, flat), timeout=10_000)
    made = prepared_of(dock.image_choice.layer)
    assert "level" in made.report
    assert float(np.std(made.image.values[made.mask])) < 0.02
    assert notice.isHidden()
