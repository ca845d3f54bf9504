"""One range of biases: the same planes in dock, console and command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_qpi import console
from napari_qpi.layers.conversion import observation_from_layer
from napari_qpi.tasks.extraction import ExtractionInput
from napari_qpi.widgets.extract.bias_range import BiasRange
from qpi_kernels.cli.scan_files import CommandError, choose_planes
from qpi_kernels.extraction.average.method import AverageParameters

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Points
    from pytestqt.qtbot import QtBot

STEP = 0.1 / 3


def add_stack(model: ViewerModel, step: float = STEP) -> tuple[Image, Points]:
    """Show seven biases, whose decimals no form shows, and two defects."""
    stack = np.random.default_rng(0).standard_normal((7, 24, 24))
    axes = {"scale": (step, 0.5, 0.5), "units": ("V", "nm", "nm")}
    image = model.add_image(stack, translate=(-3 * step, 0, 0), **axes)
    return image, model.add_points([[5.0, 5.0], [7.0, 6.0]], units=("nm", "nm"))


@pytest.mark.parametrize(
    ("low", "high"),
    [(-0.0667, 0.0333), (-0.05 + 1e-4, 0.05 - 1e-4), (0.0, 0.0), (-0.09, 1.0), (0.049, 0.017)],
)
def test_dock_console_and_command_choose_the_same_planes(
    qtbot: QtBot, model: ViewerModel, low: float, high: float
) -> None:
    image, points = add_stack(model)
    observation = observation_from_layer(image)
    parameters = AverageParameters(kernel_shape=(9, 9))

    widget = BiasRange()
    qtbot.addWidget(widget)
    widget.show_stack(observation)
    widget.low.setValue(low)
    widget.high.setValue(high)
    shown = widget.value()
    task = ExtractionInput.copy_from(image, points, parameters, bias_range=shown)
    assert task.planes is not None
    by_dock = np.atleast_1d(task.observation["bias"].values)

    run = console.extract(model, image, points, parameters=parameters, bias=(low, high))
    by_console = np.atleast_1d(run.wait(timeout_s=60).kernel["bias"].values)

    by_command = np.atleast_1d(choose_planes(observation, f"{low}:{high}")["bias"].values)
    np.testing.assert_allclose(by_dock, by_command)
    np.testing.assert_allclose(by_console, by_command)
    assert widget._count.text() == f"{len(by_command)} of 7 planes"


def test_all_planes_are_chosen_at_first_however_fine_the_steps(
    qtbot: QtBot, model: ViewerModel
) -> None:
    for step in (1e-5 / 3, 2 / 3, 7.7):
        image, points = add_stack(model, step)
        widget = BiasRange()
        qtbot.addWidget(widget)
        widget.show_stack(observation_from_layer(image))
        parameters = AverageParameters(kernel_shape=(9, 9))
        task = ExtractionInput.copy_from(image, points, parameters, bias_range=widget.value())
        assert task.planes == list(range(7)), step


def test_the_command_tells_which_biases_there_are(model: ViewerModel) -> None:
    observation = observation_from_layer(add_stack(model)[0])
    with pytest.raises(CommandError, match=r"0.5:0.6: no plane has a bias.*-0.1 to 0.1 V"):
        choose_planes(observation, "0.5:0.6")
