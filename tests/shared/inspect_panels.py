"""The Inspect dock opened at one of its panels, stacks to look at, and its scripts run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pytestqt.qtbot import QtBot

from napari_qpi.tasks.inspection.panel_files import save_exports
from napari_qpi.tasks.scripts.inspection import inspection_script
from napari_qpi.widgets.inspect.dock import Inspect
from napari_qpi.widgets.inspect.panel import Panel
from shared.docks import open_dock

if TYPE_CHECKING:
    from pathlib import Path

    from napari import Viewer
    from napari.layers import Image

__all__ = [
    "BIASES",
    "PITCH",
    "add_stack",
    "drawn",
    "open_panel",
    "run_script",
    "saved_tables",
    "wave_planes",
]

Kind = TypeVar("Kind", bound=Panel)

BIASES = np.array([-0.1, 0.0, 0.05, 0.2])
PITCH = (0.5, 0.25)
STACKED: dict[str, Any] = {
    "scale": (0.1, *PITCH),
    "translate": (-0.1, 3.0, -4.0),
    "rotate": [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]],
    "units": ("V", "nm", "nm"),
    "axis_labels": ("bias", "y", "x"),
}


def wave_planes(rows: int = 40, columns: int = 48) -> NDArray[np.float32]:
    """Draw a wave along x whose periods in the frame grow with the number of the plane."""
    x = np.arange(columns) / columns
    waves = [np.cos(2 * np.pi * (n + 6) * x) for n in range(len(BIASES))]
    return np.repeat(np.array(waves, np.float32)[:, None, :], rows, axis=1)


def add_stack(viewer: Viewer, planes: NDArray[np.float32], name: str = "grid") -> Image:
    """Add a grid over uneven biases, on a turned frame with oblong pixels."""
    known = {"role": "channel", "bias": BIASES.tolist(), "units": "S"}
    return viewer.add_image(planes, name=name, metadata={"napari_qpi": known}, **STACKED)


def open_panel(qtbot: QtBot, viewer: Viewer, kind: type[Kind]) -> tuple[Inspect, Kind]:
    """Open the dock in a window that is seen, with a panel in front and its layers copied."""
    viewer.window.show()
    dock = open_dock(viewer, "Inspect", Inspect)
    panel = dock.panel(kind)
    assert isinstance(panel, kind)
    qtbot.waitUntil(lambda: panel.isVisible() and not dock._refresh_timer.isActive())
    return dock, panel


def run_script(panel: Panel, folder: Path, chdir: Callable[[Path], None]) -> dict[str, Any]:
    """Run a panel's script on saved arrays, and give its variables."""
    data = panel.inspection.data
    if data.map.image is not None and not data.map.of_result:
        np.save(folder / "observation.npy", np.asarray(data.map.image))
    if data.kernel.result is not None:
        data.kernel.result.save(folder / "kernel.nc")
    chdir(folder)
    variables: dict[str, Any] = {}
    exec(inspection_script(panel.inspection, panel.script(), "Repeat"), variables)
    return variables


def saved_tables(panel: Panel, folder: Path) -> dict[str, str]:
    """Make a panel's figures, and save its exports, each in a file of its own; read them."""
    exports = panel.export()
    saved = save_exports(exports, folder / "numbers.csv", panel.title, {})
    assert len(set(saved)) == len(saved) >= len(exports) > 0
    assert panel.figures()
    return {path.name: path.read_text(encoding="utf-8") for path in saved}


def drawn(values: xr.DataArray | None) -> NDArray[np.float64]:
    """Return the numbers of what is drawn."""
    assert values is not None
    return np.asarray(values.values, float)
