"""Docks that are closed stop what they began; what failed once is not begun again."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pytestqt.qtbot import QtBot

from napari_qpi.tasks.inspection.background_call import BackgroundCall
from napari_qpi.tasks.job import JobState
from napari_qpi.widgets.extract.dock import ExtractKernel
from napari_qpi.widgets.inspect.curves.dispersion_panel import DispersionPanel
from napari_qpi.widgets.inspect.dock import Inspect
from qpi_kernels.progress import Event, GeneratorStepper
from shared.docks import open_dock

if TYPE_CHECKING:
    from napari import Viewer


class Endless(GeneratorStepper[None]):
    """Work that ends only when it is cancelled."""

    def _run(self) -> Generator[Event, None, None]:
        while True:
            time.sleep(0.01)
            yield Event("on and on", 0, 1)


def test_a_report_stops_with_the_extract_dock(qtbot: QtBot, viewer: Viewer) -> None:
    dock = open_dock(viewer, "Extract kernel", ExtractKernel)
    job = dock.export_buttons.report_job
    job.start(Endless)
    assert job.state is JobState.RUNNING
    viewer.window.remove_dock_widget(dock)
    qtbot.waitUntil(lambda: not job.state.busy)
    assert job.state is JobState.CANCELLED


def test_work_of_the_panels_stops_with_the_inspect_dock(qtbot: QtBot, viewer: Viewer) -> None:
    dock = open_dock(viewer, "Inspect", Inspect)
    panel = dock.panel(DispersionPanel)
    assert isinstance(panel, DispersionPanel)
    closed: list[Inspect] = []
    panel.when_closed(lambda: closed.append(dock))
    job = panel.job
    job.start(Endless)
    viewer.window.remove_dock_widget(dock)
    qtbot.waitUntil(lambda: not job.state.busy)
    assert job.state is JobState.CANCELLED
    assert closed == [dock]


def test_what_failed_is_not_begun_again(qtbot: QtBot) -> None:
    begun: list[NDArray[np.float64]] = []
    said: list[str] = []

    def look(image: NDArray[np.float64]) -> None:
        begun.append(image)
        raise ValueError("no lattice here")

    call: BackgroundCall[None] = BackgroundCall(look, "Looking")
    call.failed.connect(said.append)
    first, second = np.zeros(2), np.zeros(2)
    for image, count in ((first, 1), (first, 1), (second, 2)):
        assert call.get(image) is None
        qtbot.waitUntil(lambda count=count: len(said) == count)  # type: ignore[misc]
    assert [any(each is image for each in begun) for image in (first, second)] == [True, True]
    assert len(begun) == 2
