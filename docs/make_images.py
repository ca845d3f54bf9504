"""Make the pictures of README and docs with the program as it is.

Usage: ``python docs/make_images.py [readme] [friedel] [prepare] [simulate] [blind] [limits]
[presets] [inspect]`` in an environment with napari-qpi and a display (or ``xvfb-run -a``).
``friedel`` and ``prepare`` need samples in the folder that NAPARI_QPI_SAMPLES names;
the tables of docs/limits.md are made by limits_tables.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from napari_qpi.layers.conversion import points_from_defects
from qpi_kernels import Defects
from qpi_kernels.bench.blind.problems import BLIND_CASES, blind_problem

IMAGES = Path(__file__).parent / "images"
SIZE = (1500, 950)


def settle(seconds: float = 0.6) -> None:
    """Let Qt draw."""
    end = monotonic() + seconds
    while monotonic() < end:
        QApplication.processEvents()
        sleep(0.01)


@contextmanager
def window(sample: str = "") -> Iterator[napari.Viewer]:
    """Open napari with a file of the samples' folder, or empty, and close it afterwards."""
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*SIZE)
    if sample:
        path = Path(os.environ["NAPARI_QPI_SAMPLES"]) / sample
        viewer.open(str(path), plugin="napari-qpi")
    yield viewer
    viewer.close()


def screenshot(viewer: napari.Viewer, name: str) -> None:
    """Save the whole window."""
    settle(1.5)
    viewer.screenshot(str(IMAGES / name), canvas_only=False, flash=False)


def extract_and_wait(panel: object) -> None:
    """Press Extract and wait for the result."""
    panel.extract()  # type: ignore[attr-defined]
    settle(0.5)
    while panel.job.state.busy:  # type: ignore[attr-defined]
        settle(0.1)


def show_kernels(viewer: napari.Viewer) -> None:
    """Leave only map, marks and kernels to be seen."""
    for layer in viewer.layers:
        if "residual" in layer.name or "reconstruction" in layer.name:
            layer.visible = False
    viewer.reset_view()


def readme() -> None:
    """Show the silver sample with its kernel."""
    with window() as viewer:
        viewer.open_sample("napari-qpi", "ag111_map")
        _, panel = viewer.window.add_plugin_dock_widget("napari-qpi", "Extract kernel")
        settle()
        panel.form.set_values({"kernel_shape": (65, 65), "background": "rows"})
        extract_and_wait(panel)
        viewer.reset_view()
        screenshot(viewer, "extract.png")


def prepare() -> None:
    """Show the suggested preparation of a topograph with a step, before it is run."""
    with window("createc_step_defects_100nm.dat") as viewer:
        _, panel = viewer.window.add_plugin_dock_widget("napari-qpi", "Prepare image")
        settle()
        panel.suggest()
        while panel.job.state.busy or panel.preview.pending:
            settle(0.1)
        viewer.reset_view()
        screenshot(viewer, "prepare.png")


def friedel() -> None:
    """Show a metal surface with Friedel rings, before and after."""
    with window("createc_friedel_rings_60nm.dat") as viewer:
        image = next(layer for layer in viewer.layers if "topography forward" in layer.name)
        for layer in viewer.layers:
            layer.visible = layer is image
        excluded = left_out(image.data.shape)
        labels = viewer.add_labels(
            excluded, name="left out", opacity=0.25, scale=image.scale, translate=image.translate,
            units=image.units, axis_labels=image.axis_labels,
        )  # fmt: skip
        points = viewer.add_layer(marks(image))
        _, panel = viewer.window.add_plugin_dock_widget("napari-qpi", "Extract kernel")
        viewer.layers.selection = {image}
        settle()
        panel.image_choice.layer = image
        panel.points_choice.layer = points
        panel.mask_choice.layer = labels
        panel.form.set_values({"kernel_shape": (97, 97), "background": "rows"})
        viewer.reset_view()
        screenshot(viewer, "friedel-before.png")
        extract_and_wait(panel)
        show_kernels(viewer)
        screenshot(viewer, "friedel-after.png")
        print("\n".join(panel.result.quality.verdict))


def simulate() -> None:
    """Show the simulation panel with a warped topological state, and the layers it adds."""
    with window() as viewer:
        _, panel = viewer.window.add_plugin_dock_widget("napari-qpi", "Simulate")
        panel.set_values(
            material="Bi2Te3", biases=11, arrangement="hard_core", noise=0.2, image_shape=(160, 160)
        )
        panel.bias_slider.setValue(9)
        panel.simulate()
        settle(0.5)
        while panel.job.state.busy or panel.preview_job.state.busy:
            settle(0.1)
        viewer.dims.set_current_step(0, 9)
        image = viewer.layers[1]
        image.reset_contrast_limits(mode="slice")
        screenshot(viewer, "simulate.png")


def blind() -> None:
    """Show two kinds of defects that nobody marked, and their kernels."""
    problem = blind_problem(BLIND_CASES["two kinds"], seed=2)
    with window() as viewer:
        image = viewer.add_image(
            problem.observation.astype(np.float32), name="map", colormap="gray"
        )
        _, panel = viewer.window.add_plugin_dock_widget("napari-qpi", "Extract kernel")
        settle()
        panel.image_choice.layer = image
        panel.form.set_values({"kernel_shape": (31, 31), "method": "blind"})
        extract_and_wait(panel)
        show_kernels(viewer)
        screenshot(viewer, "blind.png")


def inspect() -> None:
    """Show the Fourier transform of a bias grid in the Inspect dock, with its kernel extracted."""
    with window() as viewer:
        viewer.open_sample("napari-qpi", "bias_grid")
        _, panel = viewer.window.add_plugin_dock_widget("napari-qpi", "Extract kernel")
        settle()
        panel.form.set_values({"kernel_shape": (41, 41)})
        extract_and_wait(panel)
        viewer.window.remove_dock_widget(panel)
        _, dock = viewer.window.add_plugin_dock_widget("napari-qpi", "Inspect")
        settle(1.5)
        view = dock.panels[0].view
        view.marker.setPos(-1.5, -1.52)
        viewer.reset_view()
        screenshot(viewer, "inspect.png")


def limits() -> None:
    """Draw where the method does not apply."""
    import limits_page

    limits_page.picture(IMAGES / "limits.png")


def presets() -> None:
    """Draw each preset before and after."""
    import prepare_pictures

    prepare_pictures.picture(IMAGES / "presets.png")


def left_out(shape: tuple[int, int]) -> np.ndarray:
    """Mask tip streaks, the frame's left edge, and the waves of two islands and an adatom."""
    excluded = np.zeros(shape, np.uint8)
    excluded[:112] = excluded[415:] = excluded[140:145] = 1
    excluded[:, :6] = 1
    rows, columns = np.indices(shape)
    for row, column, radius in ((158, 90, 75), (195, 36, 10), (112, 252, 65), (415, 190, 80)):
        excluded[np.hypot(rows - row, columns - column) <= radius] = 1
    return excluded


def marks(image: napari.layers.Image) -> napari.layers.Layer:
    """List the two dark point defects; the second is shallower."""
    dark = Defects([(212.25, 22.0), (197.8, 434.2)], kind="dark", strength=[1.0, 0.62])
    return napari.layers.Layer.create(*points_from_defects(dark, image))


PAGES = {
    "readme": readme,
    "friedel": friedel,
    "prepare": prepare,
    "simulate": simulate,
    "blind": blind,
    "limits": limits,
    "presets": presets,
    "inspect": inspect,
}


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    for name in sys.argv[1:] or PAGES:
        PAGES[name]()
