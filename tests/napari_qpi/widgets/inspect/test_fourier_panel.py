"""|FT| in the Inspect dock: the library's numbers, on the right axes, and a script for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pytestqt.qtbot import QtBot

from napari_qpi.layers.conversion import add_layers
from napari_qpi.layers.geometry import layer_geometry
from napari_qpi.layers.prepared import prepared_layer, scan_from_layers
from napari_qpi.tasks.scripts.inspection import inspection_script
from napari_qpi.widgets.inspect.dock import Inspect
from napari_qpi.widgets.inspect.fourier_panel import FourierPanel
from qpi_kernels import inspect, prepare
from qpi_kernels.io.formats.netcdf import save_scan
from qpi_kernels.prepare.steps.masks.mask_pixels import MaskPixels
from qpi_kernels.prepare.steps.values.level import Level
from shared.docks import PLACED, open_dock
from shared.inspect_panels import run_script

if TYPE_CHECKING:
    from napari import Viewer

BIASES = np.array([-0.1, 0.0, 0.1])
PITCH_Y, PITCH_X = 0.5, 0.25


def waves(rows: int = 40, columns: int = 48) -> NDArray[np.float32]:
    """Draw a lattice that stays and a wave that moves along q_x with the bias."""
    y, x = np.meshgrid(np.arange(rows) * PITCH_Y, np.arange(columns) * PITCH_X, indexing="ij")
    planes = [
        np.cos(2 * np.pi * 3 * x / 12.0) + 0.5 * np.cos(2 * np.pi * (n + 4) * y / 20.0)
        for n in range(len(BIASES))
    ]
    return np.array(planes, np.float32)


def open_panel(qtbot: QtBot, viewer: Viewer) -> tuple[Inspect, FourierPanel]:
    """Open the dock in a window that is seen, with |FT| in front."""
    viewer.window.show()
    dock = open_dock(viewer, "Inspect", Inspect)
    panel = dock.panel(FourierPanel)
    assert isinstance(panel, FourierPanel)
    qtbot.waitUntil(lambda: panel.transform is not None)
    return dock, panel


def test_a_rotated_map_shows_its_waves_where_they_are(qtbot: QtBot, viewer: Viewer) -> None:
    viewer.add_image(waves()[0], name="map", **PLACED)
    dock, panel = open_panel(qtbot, viewer)
    shown = panel.transform
    assert shown is not None
    assert panel.view.shown is shown
    np.testing.assert_allclose(shown.sel(q_y=0, q_x=np.pi / 2, method="nearest"), 1.0, rtol=0.02)
    panel.view.marker.setPos(np.pi / 2, 0.0)
    assert "q = 1.571 rad nm⁻¹ at +0.0°, λ = 4 nm" in panel.reading.text()
    # y grows downwards on the screen, q_y with it.
    panel.view.marker.setPos(0.0, -2 * np.pi * 4 / 20.0)
    assert "+90.0°, λ = 5 nm" in panel.reading.text()
    # Another unit changes axes and words, but no number.
    panel.view.marker.setPos(np.pi / 2, 0.0)
    dock.units_choice.setCurrentIndex(1)
    assert panel.transform is shown
    assert "q = 0.25 nm⁻¹" in panel.reading.text()
    axis = panel.view.plot.getAxis("bottom")
    assert (axis.scale, axis.labelText) == (1 / (2 * np.pi), "q<sub>x</sub> (nm⁻¹)")


def test_every_plane_is_what_the_library_computes(
    qtbot: QtBot, viewer: Viewer, tmp_path: Path
) -> None:
    coords = {
        "bias": ("bias", BIASES, {"units": "V"}),
        "y": ("y", np.arange(40) * PITCH_Y, {"units": "nm"}),
        "x": ("x", np.arange(48) * PITCH_X, {"units": "nm"}),
    }
    known = {"units": "S", "quantity": "didv", "long_name": "LI", "direction": "none"}
    stack = xr.DataArray(waves(), dims=("bias", "y", "x"), coords=coords, attrs=known)
    path = Path(save_scan(xr.Dataset({"didv": stack}), tmp_path / "grid.nc"))
    (image,) = viewer.open(path, plugin="napari-qpi")
    excluded = np.zeros((40, 48), int)
    excluded[:7] = 1
    labels = viewer.add_labels(excluded, **layer_geometry(image, ndim=2))
    dock, panel = open_panel(qtbot, viewer)
    dock.mask_choice.layer = labels
    panel.window_choice.setCurrentIndex(panel.window_choice.findData("blackman"))
    qtbot.waitUntil(lambda: dock.inspection.data.map.mask is not None)
    dock.energy_slider.slider.setValue(2)
    assert panel.view.title.endswith("+0.1 V")
    expected = inspect.fourier(stack[2], window="blackman", mask=excluded == 0)
    np.testing.assert_array_equal(panel.transform, expected)
    check_script(panel, tmp_path)

    panel.mean_box.setChecked(True)
    qtbot.waitUntil(lambda: "minus energy mean" in panel.view.title)
    every = inspect.fourier(stack, window="blackman", mask=excluded == 0)
    np.testing.assert_allclose(panel.transform, (every - every.mean("bias"))[2], atol=1e-7)  # type: ignore[arg-type]
    assert panel.transform is not None
    # The lattice does not disperse.
    assert abs(float(panel.transform.sel(q_y=0, q_x=np.pi / 2, method="nearest"))) < 1e-6
    check_script(panel, tmp_path)
    dock.energy_slider.slider.setValue(0)
    np.testing.assert_allclose(panel.transform, (every - every.mean("bias"))[0], atol=1e-7)


def check_script(panel: FourierPanel, folder: Path) -> None:
    """Run the script of a panel and compare its numbers with those drawn."""
    made = run_script(panel, folder, lambda _: None)["transform"]
    np.testing.assert_allclose(made, panel.transform, atol=1e-7)  # type: ignore[arg-type]


def test_the_line_of_cuts_is_dragged_here_too_in_every_theme(qtbot: QtBot, viewer: Viewer) -> None:
    from napari_qpi.tasks.inspection.state import Line

    viewer.add_image(waves()[0], name="map", **PLACED)
    dock, panel = open_panel(qtbot, viewer)
    assert not panel.view.line.isVisible()
    dock.inspection.line = Line("q", (0.0, 0.0), (0.0, 2.0), width=0.3)
    assert panel.view.line.isVisible()
    panel.view.line.movePoint(panel.view.line.endpoints[1], (1.0, -1.0), coords="parent")
    assert dock.inspection.line == Line("q", (0.0, 0.0), (-1.0, 1.0), width=0.3)
    dock.inspection.line = Line("real", (0.0, 0.0), (1.0, 1.0))
    assert not panel.view.line.isVisible()
    for theme in ("light", "dark"):
        viewer.theme = theme
        qtbot.wait(50)
        pen = panel.view.plot.getAxis("left").textPen()
        assert pen.color().name() == panel.view.text_color.name()
        assert (pen.color().lightness() > 127) == (theme == "dark")


def test_a_plot_says_what_it_shows_after_its_layer_is_gone(qtbot: QtBot, viewer: Viewer) -> None:
    image = viewer.add_image(waves(), name="grid")
    _, panel = open_panel(qtbot, viewer)
    before = panel.transform
    viewer.layers.remove(image)
    qtbot.wait(200)
    np.testing.assert_array_equal(panel.transform, before)  # type: ignore[arg-type]
    assert panel.view.title == "|FT| of grid, +1 pixel"


def test_a_prepared_map_is_prepared_again_by_its_script(
    qtbot: QtBot, viewer: Viewer, tmp_path: Path
) -> None:
    raw = waves()[0]
    raw[20, 24] += 50.0
    image = viewer.add_image(raw, name="map", **PLACED)
    start, record = scan_from_layers(image)
    steps = [MaskPixels(), Level()]
    made = prepare.run(start, steps)
    assert not made.mask.all()
    (layer,) = add_layers(viewer, [prepared_layer(made, image, record)])
    dock, panel = open_panel(qtbot, viewer)
    assert dock.inspection.map_layer is layer
    expected = inspect.fourier(made.image, mask=made.mask)
    np.testing.assert_allclose(panel.transform, expected, atol=1e-7)  # type: ignore[arg-type]
    script = inspection_script(
        dock.inspection, panel.script(), "Compute |FT|", map_path=str(tmp_path / "raw.npy")
    )
    np.save(tmp_path / "raw.npy", raw)
    variables: dict[str, Any] = {}
    exec(script, variables)
    np.testing.assert_allclose(variables["transform"], expected, atol=1e-7)
