"""A Fourier transform on axes of q: pixel edges, colours, marker, line and outline."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QMenu

from napari_qpi.tasks.inspection.marker import MarkerReading
from napari_qpi.widgets.inspect.plots.momentum_view import MomentumView


def transform(height: int = 6, width: int = 9) -> xr.DataArray:
    """Number the pixels of a transform of oblong pixels, q = 0 at n//2."""
    axes = {
        "q_y": ("q_y", (np.arange(height) - height // 2) * 0.5, {"units": "rad/nm"}),
        "q_x": ("q_x", (np.arange(width) - width // 2) * 0.25, {"units": "rad/nm"}),
    }
    values = np.arange(height * width, dtype=np.float32).reshape(height, width)
    return xr.DataArray(values, dims=("q_y", "q_x"), coords=axes, attrs={"units": "S"})


@pytest.fixture
def view(qtbot: QtBot) -> MomentumView:
    made = MomentumView()
    qtbot.addWidget(made)
    made.resize(300, 300)
    made.show()
    qtbot.waitExposed(made)
    return made


@pytest.mark.parametrize("shape", [(6, 9), (7, 8)])
def test_pixels_lie_at_their_wave_vectors(view: MomentumView, shape: tuple[int, int]) -> None:
    shown = transform(*shape)
    view.show_transform(shown, "|FT| of map")
    assert view.title == "|FT| of map"
    assert not any(menu.isVisible() for menu in view.findChildren(QMenu))
    image = view._image
    for row, column in ((0, 0), (shape[0] // 2, shape[1] // 2), (shape[0] - 1, 2)):
        place = image.mapToParent(column + 0.5, row + 0.5)
        assert place.x() == pytest.approx(float(shown["q_x"][column]), abs=1e-9)
        assert place.y() == pytest.approx(float(shown["q_y"][row]), abs=1e-9)


def test_colours_by_value_root_and_logarithm(view: MomentumView) -> None:
    shown = transform()
    view.show_transform(shown, "", scale="linear")
    np.testing.assert_array_equal(view.drawn, shown)
    view.show_transform(shown, "", scale="root")
    np.testing.assert_allclose(view.drawn, np.sqrt(shown), rtol=1e-6)
    view.show_transform(shown, "", scale="log")
    assert view.drawn is not None
    np.testing.assert_allclose(view.drawn.ravel()[1:], np.log10(np.arange(1, 54)), rtol=1e-5)
    assert np.isnan(view.drawn[0, 0])
    view.show_transform(shown - 20, "", scale="log")
    np.testing.assert_array_equal(view.drawn, shown - 20)
    assert view._image.levels[0] == -view._image.levels[1]


def test_marker_and_line_are_in_the_unit_of_the_transform(qtbot: QtBot, view: MomentumView) -> None:
    view.show_transform(transform(), "")
    view.show_units(1 / (2 * np.pi), "1/nm")
    with qtbot.waitSignal(view.marker_moved) as moved:
        view.marker.setPos(0.75, -1.0)
    assert moved.args == [(-1.0, 0.75)]
    view.show_line((-1.0, 0.25), (0.5, 1.0))
    assert view.line.isVisible()
    assert view.line_ends() == ((-1.0, 0.25), (0.5, 1.0))
    with qtbot.waitSignal(view.line_moved) as dragged:
        view.line.movePoint(view.line.endpoints[1], (0.5, -0.5), coords="parent")
    assert dragged.args == [(-1.0, 0.25), (-0.5, 0.5)]
    view.show_line(None)
    assert not view.line.isVisible()


def test_the_zoom_stays_with_the_axes(view: MomentumView) -> None:
    view.show_transform(transform(), "")
    whole = view.plot.viewRange()
    view._zoom = 4
    view._show_zoom()
    close = view.plot.viewRange()
    assert np.ptp(close[0]) < np.ptp(whole[0]) / 2
    view.show_transform(transform() * 2, "")
    assert view.plot.viewRange() == close


def test_a_marker_reads_in_the_words_of_the_field() -> None:
    shown = transform()
    reading = MarkerReading.of(shown, (-0.6, 0.8))
    assert reading.q == pytest.approx(1.0)
    assert reading.angle_deg == pytest.approx(np.degrees(np.arctan2(0.6, 0.8)))
    assert reading.wavelength == pytest.approx(2 * np.pi)
    assert reading.k == pytest.approx(0.5)
    assert reading.value == float(shown.isel(q_y=2, q_x=7))
    words = reading.in_words(1.0, "rad/nm")
    assert "q = 1 rad nm⁻¹ at +36.9°, λ = 6.283 nm, k = q/2 = 0.5 rad nm⁻¹; |F| = 25 S" in words
    assert "q = 0.1592 nm⁻¹ at" in reading.in_words(1 / (2 * np.pi), "1/nm")
    assert "Click" in MarkerReading.of(shown, (0.0, 0.0)).in_words(1.0, "rad/nm")
