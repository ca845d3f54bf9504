"""Saving layers: the right writer, and nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from npe2 import PluginManager

from napari_qpi.layers.conversion import add_layers, result_of
from napari_qpi.layers.result import result_layers
from napari_qpi.writers import NotSavedError
from qpi_kernels.defects import Defects
from qpi_kernels.io import open_scan
from qpi_kernels.result import KernelResult

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

OURS = "napari-qpi"


def add_map(model: ViewerModel, **changes: object) -> Image:
    arguments = {
        "scale": (0.5, 0.25),
        "translate": (10, -3),
        "rotate": 25,
        "units": ("nm", "nm"),
        "name": "map",
    }
    data = np.random.default_rng(0).normal(size=(20, 24)).astype(np.float32)
    return model.add_image(data, **(arguments | changes))


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("a.tif", ["image"]),
        ("a.npz", ["image"]),
        ("a", ["image"]),
        ("a.csv", ["points"]),
        ("a", ["points"]),
        ("a", ["image", "points"]),
    ],
)
def test_napari_s_own_writers_come_first(
    plugin_manager: PluginManager, name: str, types: list[str]
) -> None:
    writer, _ = plugin_manager.get_writer(name, types)
    assert writer is not None
    assert writer.plugin_name == "napari"


@pytest.mark.parametrize("extension", ["nc", "gwy", "tif", "npz"])
def test_our_writers_are_found_by_plugin(plugin_manager: PluginManager, extension: str) -> None:
    writer, _ = plugin_manager.get_writer(f"a.{extension}", ["image"], OURS)
    assert writer is not None
    assert writer.plugin_name == OURS


def test_a_kernel_is_saved_without_loss(
    model: ViewerModel, make_result: Callable[..., KernelResult], tmp_path: Path
) -> None:
    made = add_layers(model, result_layers(make_result(kinds=("a", "b")), add_map(model)))
    result = result_of(made[0])
    for index, layer in enumerate(made):
        (path,) = layer.save(tmp_path / f"{index}.nc", plugin=OURS)
        again = KernelResult.load(path)
        for part in ("kernel", "std", "background", "reconstruction", "residual"):
            assert getattr(again, part).identical(getattr(result, part)), part
        assert again.defects == result.defects
        assert again.quality == result.quality
        assert again.provenance == result.provenance


def test_all_layers_of_a_result_make_one_file(
    model: ViewerModel, make_result: Callable[..., KernelResult], tmp_path: Path
) -> None:
    made = add_layers(model, result_layers(make_result()))
    model.layers.selection = set(made)
    paths = model.layers.save(tmp_path / "all.nc", selected=True, plugin=OURS)
    assert [Path(path).name for path in paths] == ["all.nc"]
    assert KernelResult.load(paths[0]).kernel.identical(result_of(made[0]).kernel)

    model.layers.selection = {made[0], add_map(model)}
    with pytest.raises(NotSavedError, match="one at a time"):
        model.layers.save(tmp_path / "mixed.nc", selected=True, plugin=OURS)


def test_a_changed_kernel_is_saved_as_it_is_shown(
    model: ViewerModel, make_result: Callable[..., KernelResult], tmp_path: Path
) -> None:
    kernel = add_layers(model, result_layers(make_result()))[-1]
    kernel.data = kernel.data * 2
    (path,) = kernel.save(tmp_path / "changed.nc", plugin=OURS)
    (saved,) = open_scan(path).data_vars.values()
    np.testing.assert_allclose(saved.values, kernel.data)


@pytest.mark.parametrize("stack", [False, True])
def test_a_plain_map_comes_back_with_values_units_and_place(
    model: ViewerModel, tmp_path: Path, stack: bool
) -> None:
    if stack:
        data = np.random.default_rng(0).normal(size=(3, 5, 6)).astype(np.float32)
        image = model.add_image(
            data, scale=(0.1, 0.5, 0.25), translate=(-0.1, 3, 4), units=("V", "nm", "nm")
        )
    else:
        image = add_map(model)
    (path,) = image.save(tmp_path / "map.nc", plugin=OURS)
    (again,) = model.open(path, plugin=OURS)
    np.testing.assert_array_equal(again.data, image.data)
    assert again.units == image.units
    for position in ((0,) * image.ndim, (2,) * image.ndim):
        np.testing.assert_allclose(
            again.data_to_world(position), image.data_to_world(position), atol=1e-9
        )
    observation = next(iter(open_scan(path).data_vars.values()))
    np.testing.assert_allclose(observation["x"][1], 0.25)


def test_an_image_in_colour_is_refused(model: ViewerModel, tmp_path: Path) -> None:
    picture = model.add_image(np.zeros((4, 4, 3), np.uint8), rgb=True)
    with pytest.raises(NotSavedError, match="Split RGB"):
        picture.save(tmp_path / "picture.nc", plugin=OURS)


def test_a_tiff_keeps_the_pixel_size(model: ViewerModel, tmp_path: Path) -> None:
    image = add_map(model)
    (path,) = image.save(tmp_path / "map.tif", plugin=OURS)
    with tifffile.TiffFile(path) as file:
        np.testing.assert_array_equal(file.asarray(), image.data)
        numerator, denominator = file.pages[0].tags["XResolution"].value
        assert denominator / numerator == pytest.approx(0.25, rel=1e-4)
        assert file.imagej_metadata["unit"] == "nm"


@pytest.mark.parametrize("extension", ["gwy", "npz"])
def test_an_export_opens_again(model: ViewerModel, tmp_path: Path, extension: str) -> None:
    image = add_map(model)
    (path,) = image.save(tmp_path / f"map.{extension}", plugin=OURS)
    (saved,) = open_scan(path).data_vars.values()
    np.testing.assert_allclose(saved.values, image.data, rtol=1e-6)
    np.testing.assert_allclose([saved["y"][1], saved["x"][1]], (0.5, 0.25), rtol=1e-6)


def test_defects_are_saved_for_the_library_and_for_napari(
    model: ViewerModel, tmp_path: Path
) -> None:
    points = model.add_points(
        [[1.5, 2.25], [3, 4]],
        features={"kind": ["vacancy", "adatom"], "strength": [1.0, 0.5]},
        scale=(0.5, 0.5),
        units=("nm", "nm"),
    )
    (path,) = points.save(tmp_path / "defects.csv", plugin=OURS)
    assert Defects.from_csv(path) == Defects(points.data, ["vacancy", "adatom"], [1.0, 0.5])
    (again,) = model.open(path, plugin="napari")
    np.testing.assert_array_equal(again.data, points.data)


def test_images_and_points_do_not_go_into_one_file(model: ViewerModel, tmp_path: Path) -> None:
    model.layers.selection = {add_map(model), model.add_points([[1, 1]], units=("nm", "nm"))}
    with pytest.raises(NotSavedError, match="files of their own"):
        model.layers.save(tmp_path / "both.gwy", selected=True, plugin=OURS)
