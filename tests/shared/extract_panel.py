"""The extraction panel opened as napari opens it, on maps of rings, and driven to its end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_qpi.layers.conversion import METADATA_KEY, points_from_defects
from napari_qpi.tasks.extraction import ExtractionInput
from napari_qpi.tasks.job import JobState
from napari_qpi.widgets.extract.dock import ExtractKernel
from qpi_kernels.defects import Defects
from shared.docks import open_dock

if TYPE_CHECKING:
    import pytest
    from napari import Viewer
    from napari.layers import Image, Layer, Points
    from pytestqt.qtbot import QtBot

__all__ = [
    "DEFECTS",
    "SHAPE",
    "SIX_DEFECTS",
    "SlowTask",
    "add_defects",
    "extract",
    "finish",
    "in_image",
    "map_of_six",
    "observed",
    "of_role",
    "open_panel",
    "wait",
]

SHAPE = (40, 48)
DEFECTS = Defects([[9.3, 11.2], [30.1, 12.7], [20.4, 33.6], [33.0, 40.2], [8.0, 38.5]])
SIX_DEFECTS = np.array(
    [[10.3, 12.2], [50.1, 14.7], [30.4, 33.6], [52.0, 58.2], [12.0, 58.5], [33.2, 60.0]]
)


def _ring_map(
    shape: tuple[int, int], positions: NDArray[np.floating], seed: int
) -> NDArray[np.float32]:
    """Sum rings that fade within 3 pixels over defects, with a little noise."""
    rows, cols = np.indices(shape)
    away = [np.hypot(rows - r, cols - c) for r, c in positions]
    noise = 0.02 * np.random.default_rng(seed).normal(size=shape)
    return (noise + sum(np.cos(1.5 * d) * np.exp(-d / 3) for d in away)).astype(np.float32)


def observed(seed: int = 1) -> NDArray[np.float32]:
    """Draw a map of `DEFECTS`."""
    return _ring_map(SHAPE, DEFECTS.positions, seed)


def map_of_six() -> NDArray[np.float32]:
    """Draw a larger map, of `SIX_DEFECTS`."""
    return _ring_map((64, 72), SIX_DEFECTS, seed=3)


def add_defects(viewer: Viewer, image: Image, defects: Defects = DEFECTS) -> Points:
    """Mark defects on an image."""
    data, arguments, _ = points_from_defects(defects, image)
    return viewer.add_points(data, **arguments)


def open_panel(viewer: Viewer, **choice: object) -> ExtractKernel:
    """Open the panel by its name in the menu, for least squares, which take no time."""
    panel = open_dock(viewer, "Extract kernel", ExtractKernel)
    panel.form.set_values({"kernel_shape": (9, 9), "method": "least_squares"} | choice)
    return panel


def wait(qtbot: QtBot, panel: ExtractKernel) -> None:
    """Wait for the end of a run."""
    qtbot.waitUntil(lambda: not panel.job.state.busy, timeout=60_000)


def finish(qtbot: QtBot, panel: ExtractKernel) -> None:
    """Wait for the end of a run, which must be a result."""
    wait(qtbot, panel)
    assert panel.job.state is JobState.DONE, panel.run_controls.status.text()


def extract(qtbot: QtBot, panel: ExtractKernel) -> None:
    """Press the button and wait for the result."""
    panel.run_controls.run_button.click()
    finish(qtbot, panel)


def of_role(viewer: Viewer, role: str) -> list[Layer]:
    """List the layers of one role in a result: "kernel", "residual" ..."""
    return [
        layer for layer in viewer.layers if layer.metadata.get(METADATA_KEY, {}).get("role") == role
    ]


def in_image(layer: Points, image: Image) -> NDArray[np.float64]:
    """Tell where the points of a layer are in pixels of an image."""
    return np.array([image.world_to_data(layer.data_to_world(point)) for point in layer.data])


class SlowTask:
    """Makes the extraction of a panel wait, so that the test can do things meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate = threading.Event()
        self.entered = threading.Event()
        start = ExtractionInput.start

        def waiting(task: ExtractionInput) -> Any:
            self.entered.set()
            assert self.gate.wait(20)
            return start(task)

        monkeypatch.setattr(ExtractionInput, "start", waiting)
