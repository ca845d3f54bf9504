"""Prepared images as layers: where they lie, and what they carry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Layer

from napari_qpi.layers.belonging import mask_of
from napari_qpi.layers.conversion import METADATA_KEY, add_layers, points_from_defects
from napari_qpi.layers.geometry import PixelToWorld
from napari_qpi.layers.prepared import channel_layers, prepared_of, record_of
from napari_qpi.layers.scan import scan_layers
from napari_qpi.tasks.preparation import PreparationInput, show_prepared
from qpi_kernels import prepare
from qpi_kernels.defects import Defects
from qpi_kernels.io import Channel, scan_dataset
from qpi_kernels.progress import drive

PLACES: dict[str, dict[str, Any]] = {
    "turned": {"scale": (0.5, 0.5), "rotate": 30.0, "translate": (3, -4), "units": ("nm", "nm")},
    "oblong": {"scale": (0.5, 0.4), "rotate": -20.0, "units": ("nm", "nm")},
    "affine": {
        "scale": (0.5, 0.5),
        "affine": [[1.1, 0.3, 5.0], [-0.2, 0.9, 1.0], [0, 0, 1]],
        "units": ("nm", "nm"),
    },
    "pixels": {"rotate": 30.0},
}
STEPS: dict[str, list[prepare.Step]] = {
    "crop": [prepare.Crop(rows=(3, 30), columns=(6, 40))],
    "quarter": [prepare.Rotate(angle_deg=90)],
    "all": [
        prepare.Rotate(angle_deg=25),
        prepare.Crop(rows=(4, 55), columns=(6, 58)),
        prepare.Rebin(factor=2),
    ],
}


def blob(row: float, column: float) -> np.ndarray:
    rows, columns = np.indices((40, 48))
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 18.0)


def prepared(
    model: ViewerModel, image: Image, steps: list[prepare.Step], **chosen: Any
) -> list[Layer]:
    task = PreparationInput.copy_from(image, **chosen)
    return show_prepared(model, task, drive(task.start(steps)))


def brightest(plane: np.ndarray) -> np.ndarray:
    """Find a blob to a tenth of a pixel, by its centre of mass."""
    weights = np.nan_to_num(plane) ** 2
    return np.array([(axis * weights).sum() for axis in np.indices(plane.shape)]) / weights.sum()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("steps", STEPS)
def test_a_prepared_image_lies_over_its_source(model: ViewerModel, place: str, steps: str) -> None:
    source = model.add_image(blob(17.3, 22.8), **PLACES[place])
    points = add_layers(model, [points_from_defects(Defects([(17.3, 22.8)]), source)])[0]
    image, *_, moved = prepared(model, source, STEPS[steps], points=points)
    assert image.units == source.units
    expected = PixelToWorld.of(source).to_world([(17.3, 22.8)])
    seen = PixelToWorld.of(image).to_world([brightest(image.data)])
    pixel = np.abs(PixelToWorld.of(source).matrix).max()
    np.testing.assert_allclose(seen, expected, atol=0.1 * pixel)
    at = PixelToWorld.of(moved).to_world(moved.data)
    np.testing.assert_allclose(at, expected, atol=1e-6)


def test_values_alone_leave_the_place_as_it_is_to_the_bit(model: ViewerModel) -> None:
    stack = np.stack([blob(10, 20), blob(10, 20) * 2, blob(10, 20) * 4]).astype(np.float32)
    source = model.add_image(
        da.from_array(stack, chunks=(1, -1, -1)),
        scale=(0.1, 0.5, 0.5),
        translate=(-0.2, 1, 2),
        rotate=[[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]],
        units=("V", "nm", "nm"),
    )
    image, *rest = prepared(model, source, [prepare.SmoothBias(sigma=0.05)])
    assert rest == []
    assert image.name == "source prepared" or image.name.endswith("prepared")
    assert hasattr(image.data, "dask")
    for name in ("scale", "translate", "rotate"):
        np.testing.assert_array_equal(getattr(image, name), getattr(source, name))


def test_pixels_left_out_are_labels_and_history_and_report_are_kept(model: ViewerModel) -> None:
    source = model.add_image(blob(17, 22), name="map", **PLACES["turned"])
    image, labels = prepared(model, source, [prepare.Rotate(angle_deg=45)])
    made = prepared_of(image)
    assert made is not None
    np.testing.assert_array_equal(labels.data == 0, made.mask)
    assert (labels.name, labels.metadata[METADATA_KEY]["role"]) == ("map prepared left out", "mask")
    known = image.metadata[METADATA_KEY]["preparation"]
    assert known["history"][0]["angle_deg"] == 45
    assert known["report"]["rotate"]["angle_deg"] == 45
    assert model.layers.selection.active is image
    image.data = np.asarray(image.data) + 1
    assert prepared_of(image) is None


def test_a_second_preparation_goes_on_from_the_first(model: ViewerModel) -> None:
    source = model.add_image(blob(17, 22), **PLACES["turned"])
    first, *_ = prepared(model, source, [prepare.Rotate(angle_deg=25)])
    second, *_ = prepared(model, first, [prepare.Rotate(angle_deg=-10)])
    both = prepare.replay(blob(17, 22), prepared_of(second).history)
    np.testing.assert_allclose(second.data, both.image.values, atol=1e-12)
    record = record_of(second)
    assert record.before.name == source.name


def test_channels_of_the_same_scan_are_found_by_what_they_are(model: ViewerModel) -> None:
    channels = [
        Channel(quantity, blob(10, 10) * sign, "nm", quantity, direction)
        for quantity in ("topography", "didv")
        for sign, direction in ((1.0, "forward"), (-1.0, "backward"))
    ]
    for file, angle in (("a.sxm", 30.0), ("b.sxm", 0.0)):
        scan = scan_dataset(
            channels, source=file, format="", pixel_nm=(0.5, 0.5), scan_angle_deg=angle
        )
        add_layers(model, scan_layers(scan, file))
    image = next(layer for layer in model.layers if layer.name == "a.sxm dIdV forward")
    found = {name: layer.name for name, layer in channel_layers(image, model.layers).items()}
    assert found == {
        "topography": "a.sxm topography forward",
        "topography_retrace": "a.sxm topography backward",
        "retrace": "a.sxm dIdV backward",
    }
    assert channel_layers(model.add_image(blob(1, 1)), model.layers) == {}


def test_a_saved_prepared_image_opens_in_its_place_with_mask_and_defects(
    model: ViewerModel, tmp_path: Path
) -> None:
    source = model.add_image(blob(17.3, 22.8), **PLACES["affine"])
    points = add_layers(model, [points_from_defects(Defects([(17.3, 22.8)]), source)])[0]
    image, labels, moved = prepared(model, source, STEPS["all"], points=points)
    image.save(str(tmp_path / "p.nc"), plugin="napari-qpi")
    again, marks, marked = model.open(tmp_path / "p.nc", plugin="napari-qpi")
    np.testing.assert_array_equal(again.data, image.data)
    np.testing.assert_array_equal(marks.data, labels.data)
    np.testing.assert_array_equal(marked.data, moved.data)
    assert PixelToWorld.of(again).same_as(PixelToWorld.of(image))
    assert PixelToWorld.of(marks).same_as(PixelToWorld.of(image))
    assert prepared_of(again).history == prepared_of(image).history
    assert mask_of(again, model.layers) is marks
    assert mask_of(image, model.layers) is labels
