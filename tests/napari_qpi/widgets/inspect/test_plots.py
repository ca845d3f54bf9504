"""Plots of the Inspect dock: what they draw is what they were given."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from pytestqt.qtbot import QtBot

from napari_qpi.widgets.inspect.plots.curve_plot import Curve, CurvePlot
from napari_qpi.widgets.inspect.plots.stack_image import StackImage


def curve(values: np.ndarray) -> xr.DataArray:
    """Return values over q."""
    return xr.DataArray(
        values,
        dims="q",
        coords={"q": ("q", 0.5 * np.arange(len(values)), {"units": "rad/nm"})},
        attrs={"long_name": "Fourier amplitude", "units": "pS"},
    )


def stack(biases: list[float], columns: int = 4) -> xr.DataArray:
    """Return rows that hold their bias."""
    return xr.DataArray(
        np.repeat(np.array(biases)[:, None], columns, axis=1),
        dims=("bias", "distance"),
        coords={
            "bias": ("bias", biases, {"units": "V"}),
            "distance": ("distance", np.arange(columns) * 2.0, {"units": "nm"}),
        },
    )


def drawn_rows(image: StackImage) -> list[tuple[float, float]]:
    """Return the bias at the middle of each row that is drawn, and the value there."""
    item = image.image_item
    rect = item.mapRectToParent(item.boundingRect())
    height = rect.height() / len(item.image)
    return [(rect.top() + (n + 0.5) * height, float(row[0])) for n, row in enumerate(item.image)]


def test_axes_are_named_with_units_and_reach_over_all_curves(qtbot: QtBot) -> None:
    plot = CurvePlot()
    qtbot.addWidget(plot)
    wide = curve(np.array([1.0, 5.0, 2.0, -1.0]))
    plot.show_curves([Curve("map", curve(np.array([0.0, 8.0]))), Curve("kernel", wide)], "Both")
    assert plot.plot.getAxis("bottom").labelText == "q (rad nm⁻¹)"
    assert plot.plot.getAxis("left").labelText == "Fourier amplitude (pS)"
    (left, right), (low, high) = plot.plot.viewRange()
    assert left < 0 < 1.5 < right < 2
    assert -3 < low < -1 < 8 < high < 10
    assert [label.text for _, label in plot.plot.legend.items] == ["map", "kernel"]
    plot.show_curves([Curve("map", wide)], "One")
    assert [label.text for _, label in plot.plot.legend.items] == ["map"]
    assert plot.title == "One"


def test_nothing_drawn_has_no_axes_and_names_are_cut_before_units(qtbot: QtBot) -> None:
    plot = CurvePlot()
    qtbot.addWidget(plot)
    axis = plot.plot.getAxis("left")
    assert not axis.isVisible()
    plot.resize(300, 230)
    values = curve(np.ones(4)).assign_attrs(units="1/(eV nm^2)", long_name=20 * "amplitude ")
    plot.show_curves([Curve("map", values)], "Map")
    plot.mark(0.5)
    assert axis.isVisible()
    assert axis.labelText.startswith("ampl")
    assert axis.labelText.endswith("… (1/(eV nm²))")
    plot.resize(300, 100)
    plot.show_curves([Curve("map", values)], "Map")
    assert axis.labelText == "1/(eV nm²)"
    plot.show_curves([], "")
    assert not axis.isVisible()


def test_a_logarithmic_axis_leaves_out_what_is_not_positive(qtbot: QtBot) -> None:
    plot = CurvePlot()
    qtbot.addWidget(plot)
    values = curve(np.array([0.0, 100.0, 1.0, -5.0]))
    plot.show_curves([Curve("map", values, curve(np.full(4, 0.5)))], "Map", logarithmic=True)
    _, (low, high) = plot.plot.viewRange()
    assert -0.5 < low < 0 < 2 < high < 2.5


@pytest.mark.parametrize("biases", [[-0.2, -0.1, 0.0, 0.1], [-0.2, -0.1, 0.0, 0.4], [0.3, 0.1]])
def test_every_row_lies_at_its_bias(qtbot: QtBot, biases: list[float]) -> None:
    image = StackImage()
    qtbot.addWidget(image)
    image.show_stack(stack(biases), "E(x)")
    rows = drawn_rows(image)
    for middle, value in rows:
        nearest = min(biases, key=lambda bias: abs(bias - middle))
        assert value == pytest.approx(nearest)
    assert {value for _, value in rows} == {np.float32(bias) for bias in biases}
    (left, right), (low, high) = image.plot.viewRange()
    assert (left, right) == (-1.0, 7.0)
    assert low < min(biases) < max(biases) < high


def test_other_numbers_and_names_are_drawn_as_in_a_new_plot(qtbot: QtBot) -> None:
    kept, new = CurvePlot(), CurvePlot()
    for plot in (kept, new):
        qtbot.addWidget(plot)
    numbers = np.array([1.0, 5.0, 2.0, 3.0])
    before = [
        Curve("map, 0 V", curve(numbers), curve(0.1 * numbers)),
        Curve("k", curve(numbers), curve(0.2 * numbers), look="points"),
    ]
    after = [
        Curve("map, 1 V", curve(numbers[:3] ** 2), curve(0.3 * numbers[:3])),
        Curve("k", curve(numbers[::-1]), curve(0.1 * numbers), look="points"),
    ]
    for logarithmic in (False, True):
        kept.show_curves(before, "0 V", logarithmic=logarithmic)
        items = list(kept.plot.items)
        kept.show_curves(after, "1 V", logarithmic=logarithmic)
        assert kept.plot.items == items  # not made anew: that takes long
        new.show_curves([], "")
        new.show_curves(after, "1 V", logarithmic=logarithmic)
        assert kept.plot.viewRange() == new.plot.viewRange()
        for one, other in zip(kept.plot.listDataItems(), new.plot.listDataItems(), strict=True):
            np.testing.assert_array_equal(one.getData(), other.getData())
        texts = [[label.text for _, label in plot.plot.legend.items] for plot in (kept, new)]
        assert texts == [["map, 1 V", "k"]] * 2


def test_a_value_near_zero_does_not_take_the_logarithmic_axis(qtbot: QtBot) -> None:
    plot = CurvePlot()
    qtbot.addWidget(plot)
    values = np.geomspace(1.0, 100.0, 80)
    plot.show_curves([Curve("", curve(np.append(values, 1e-9)))], "x", logarithmic=True)
    _, (low, high) = plot.plot.viewRange()
    assert -1.0 < low < 0.0 < 2.0 < high
