"""Images in docks, as they are painted."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from pytestqt.qtbot import QtBot
from qtpy.QtGui import QColor, QImage

from napari_qpi.widgets.common.image_view import ImageView, round_length


def plane(values: np.ndarray, pitch: tuple[float, float], unit: str) -> xr.DataArray:
    coords = {
        axis: (axis, np.arange(size) * step, {"units": unit})
        for axis, size, step in zip(("y", "x"), values.shape, pitch, strict=True)
    }
    return xr.DataArray(values, dims=("y", "x"), coords=coords)


def shown_view(qtbot: QtBot, image: xr.DataArray) -> ImageView:
    view = ImageView("gray")
    qtbot.addWidget(view)
    view.resize(200, 200)
    view.show()
    qtbot.waitExposed(view)
    view.show_plane(image, "image")
    return view


def pixel(picture: QImage, x: float, y: float) -> QColor:
    """Take a pixel by its place in shares of the picture."""
    return picture.pixelColor(int(x * picture.width()), int(y * picture.height()))


def test_pixels_keep_their_place_and_edges(qtbot: QtBot) -> None:
    values = np.zeros((40, 40))
    values[:20, 20:] = 1.0
    view = shown_view(qtbot, plane(values, (0.3, 0.3), "nm"))
    picture = view.grab().toImage()
    assert pixel(picture, 0.75, 0.4).lightness() > 200
    assert pixel(picture, 0.25, 0.4).lightness() < 50
    assert pixel(picture, 0.75, 0.6).lightness() < 50
    assert pixel(picture, 0.52, 0.4).lightness() > 200
    assert "12 × 12 nm" in view.toolTip()  # noqa: RUF001
    assert view._bar_text.toPlainText() == "2 nm"


def test_a_faded_image_is_paler(qtbot: QtBot) -> None:
    view = shown_view(qtbot, plane(np.eye(40) + np.ones((40, 40)), (0.3, 0.3), "nm"))
    values = np.zeros((40, 40))
    values[:, 20:] = 1.0
    view.show_plane(plane(values, (0.3, 0.3), "nm"), "image")
    before = pixel(view.grab().toImage(), 0.75, 0.5).lightness()
    view.fade()
    assert pixel(view.grab().toImage(), 0.75, 0.5).lightness() < before
    view.show_plane(plane(values, (0.3, 0.3), "nm"), "image")
    assert pixel(view.grab().toImage(), 0.75, 0.5).lightness() == before


def test_pixels_that_are_not_square_fill_a_square(qtbot: QtBot) -> None:
    view = shown_view(qtbot, plane(np.ones((48, 64)) * [[2.0] * 63 + [1.0]], (0.4, 0.3), "rad/nm"))
    picture = view.grab().toImage()
    assert "19.2 × 19.2 rad/nm" in view.toolTip()  # noqa: RUF001
    assert pixel(picture, 0.9, 0.05).lightness() > 200
    assert pixel(picture, 0.9, 0.95).lightness() > 200


@pytest.mark.parametrize(
    ("longest", "expected"), [(7.7, 5), (1.0, 1), (0.49, 0.2), (21, 20), (0.5, 0.5)]
)
def test_bars_have_round_lengths(longest: float, expected: float) -> None:
    assert round_length(longest) == pytest.approx(expected)
