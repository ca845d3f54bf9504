"""Curves and kernels of a training, as they are painted."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QWidget

from napari_qpi.widgets.train.controls import duration
from napari_qpi.widgets.train.loss_plot import LossPlot, log_ticks
from napari_qpi.widgets.train.reconstruction_strip import ReconstructionStrip


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.001, 1, [0.001, 0.01, 0.1, 1]), (0.08, 0.4, [0.1, 0.15, 0.2, 0.3]), (0.11, 0.19, None)],
)
def test_logarithmic_ticks_are_round_and_inside(
    low: float, high: float, expected: list[float] | None
) -> None:
    ticks = log_ticks(low, high)
    assert 3 <= len(ticks) <= 5
    assert all(low <= tick <= high for tick in ticks)
    if expected is not None:
        assert ticks == pytest.approx(expected)


def test_logarithmic_ticks_do_not_overlap() -> None:
    for low, high in ((0.95, 1.5), (0.9, 1.2), (0.3, 0.43), (1e-3, 40)):
        steps = np.diff(np.log10(log_ticks(low, high)))
        assert steps.min() > np.log10(high / low) / 7


def painted(widget: QWidget) -> np.ndarray:
    """Paint a widget: (rows, columns, 3)."""
    image = widget.grab().toImage()
    return np.array(
        [
            [image.pixelColor(x, y).getRgb()[:3] for x in range(image.width())]
            for y in range(image.height())
        ]
    )


def shown_plot(qtbot: QtBot) -> LossPlot:
    plot = LossPlot("loss", "#ff0000")
    qtbot.addWidget(plot)
    plot.resize(240, 120)
    plot.show()
    qtbot.waitExposed(plot)
    return plot


def test_a_falling_curve_is_painted_falling(qtbot: QtBot) -> None:
    plot = shown_plot(qtbot)
    plot.show_points([(step, 10.0 ** (-step / 500)) for step in range(1, 1000)], 1000)
    pixels = painted(plot).astype(int)
    rows, columns = np.nonzero(
        (pixels[..., 0] > 200) & (pixels[..., 1] < 60) & (pixels[..., 2] < 60)
    )
    inside = (rows > 20) & (columns > 60)
    assert inside.sum() > 100
    assert np.corrcoef(rows[inside], columns[inside])[0, 1] > 0.99
    assert plot.toolTip() == "<qt>loss: 0.01</qt>"


def test_an_axis_within_a_decade_has_labels(qtbot: QtBot) -> None:
    plot = shown_plot(qtbot)
    plot.show_points([(1, 0.19), (2, 0.11)], 10)
    ((_, ticks),) = plot._values.tickValues(np.log10(0.11), np.log10(0.19), 100)
    labels = plot._values.tickStrings(ticks, 1.0, 1.0)
    assert len(labels) >= 3
    assert all(0.11 <= float(label) <= 0.19 for label in labels)


def test_what_has_no_logarithm_is_left_out(qtbot: QtBot) -> None:
    plot = shown_plot(qtbot)
    plot.show_points([(1, 0.0), (2, float("nan")), (3, 1.0), (4, float("inf"))], 10)
    assert plot.points.tolist() == [[3, 1]]
    assert plot.step_range == (0, 10)
    plot.grab()
    plot.show_points([], 10)
    plot.grab()


def test_the_strip_paints_true_above_made(qtbot: QtBot) -> None:
    strip = ReconstructionStrip()
    qtbot.addWidget(strip)
    assert strip.isHidden()
    true = np.zeros((2, 8, 8), np.float32)
    true[:, :3] = 1.0
    strip.show_pairs(true, np.zeros_like(true))
    strip.resize(203, strip.heightForWidth(203))
    qtbot.waitExposed(strip)
    pixels = painted(strip).astype(int)
    assert strip.count == 2
    red, _, blue = pixels[20, 50]
    assert red > blue + 50
    red, _, blue = pixels[123, 50]
    assert abs(red - blue) < 30
    strip.clear()
    assert strip.isHidden()


def test_pyqtgraph_has_the_binding_of_napari() -> None:
    program = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "import os; os.environ['PYQTGRAPH_QT_LIB'] = 'PySide6'\n"
        "import qtpy\n"
        "from napari_qpi.widgets.common.plotting import pg\n"
        "assert pg.Qt.QT_LIB == qtpy.API_NAME"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("seconds", "words"), [(12.3, "12 s"), (400, "7 min"), (7300, "2 h 02 min")]
)
def test_times_are_as_exact_as_one_wants(seconds: float, words: str) -> None:
    assert duration(seconds) == words
