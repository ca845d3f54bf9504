"""Saving layers: the right writer, and nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.layers import Image, Layer
from npe2 import PluginManager

from napari_qpi.layers.conversion import (
    METADATA_KEY,
    add_layers,
    defects_from_points,
    points_from_defects,
    result_of,
)
from napari_qpi.layers.result import result_layers
from napari_qpi.readers import get_reader, read_layers
from napari_qpi.tasks.save_kernel import save_shown_kernel
from napari_qpi.writers import NotSavedError, export_image, write_netcdf
from qpi_kernels.defects import Defects
from qpi_kernels.io import Channel, open_scan, scan_dataset
from qpi_kernels.io.array_notes import frame_of
from qpi_kernels.io.formats.netcdf import save_scan
from qpi_kernels.result import KernelResult

if TYPE_CHECKING:
    from napari.components import ViewerModel

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


@pytest.mark.parametrize("extension", ["npz", "tif"])
@pytest.mark.parametrize("stack", [False, True])
def test_a_dropped_export_lies_where_it_lay(
    model: ViewerModel, tmp_path: Path, extension: str, stack: bool
) -> None:
    image = add_map(model)
    if stack:
        image = model.add_image(
            np.random.default_rng(0).normal(size=(3, 5, 6)).astype(np.float32),
            scale=(0.1, 0.5, 0.25), translate=(-0.1, 3, 4), units=("V", "nm", "nm"),
        )  # fmt: skip
    (path,) = image.save(tmp_path / f"my kernel.{extension}", plugin=OURS)
    again, *others = model.open(path, plugin=OURS)
    assert not others
    np.testing.assert_array_equal(again.data, image.data)
    assert again.units == image.units
    for position in ((0,) * image.ndim, (2,) * image.ndim):
        np.testing.assert_allclose(
            again.data_to_world(position), image.data_to_world(position), atol=1e-9
        )
    assert "pixel" not in str(model.layers.extent.units)


@pytest.mark.parametrize("extension", ["npz", "tif", "gwy"])
@pytest.mark.parametrize("kernel_shape", [(7, 9), (8, 6)])
def test_a_dropped_kernel_keeps_pitch_angle_centre_and_kind(
    model: ViewerModel,
    make_result: Callable[..., KernelResult],
    tmp_path: Path,
    extension: str,
    kernel_shape: tuple[int, int],
) -> None:
    image = add_map(model, scale=(0.25, 0.25))
    result = make_result(kinds=("a", "b"), kernel_shape=kernel_shape)
    shown = result_of(add_layers(model, result_layers(result, image))[-1])
    paths = save_shown_kernel(shown, tmp_path / f"map_kernel.{extension}")
    assert [path.name for path in paths] == [f"map_kernel_{kind}.{extension}" for kind in "ab"]
    for path, kind in zip(paths, "ab", strict=True):
        (layer,) = model.open(path, plugin=OURS)
        np.testing.assert_allclose(layer.data, result.kernel.sel(kind=kind), rtol=1e-6)
        assert [str(unit) for unit in layer.units] == ["nanometer"] * 2
        np.testing.assert_allclose(layer.scale, 0.25)
        rows, cols = kernel_shape
        np.testing.assert_allclose(layer.data_to_world((rows // 2, cols // 2)), 0, atol=1e-9)
        if extension != "gwy":  # which has no place for them
            np.testing.assert_allclose(layer.rotate, image.rotate, atol=1e-9)
            assert layer.metadata[METADATA_KEY]["kind"] == kind


@settings(deadline=None, max_examples=20)
@given(
    st.floats(-180, 180),
    st.floats(0.01, 5),
    st.floats(0.01, 5),
    st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)),
)
def test_any_place_survives_every_format(
    angle: float, row_nm: float, column_nm: float, place: tuple[float, float]
) -> None:
    image = Image(
        np.arange(12, dtype=np.float32).reshape(3, 4),
        scale=(row_nm, column_nm), rotate=angle, translate=place, units=("nm", "nm"),
    )  # fmt: skip
    with TemporaryDirectory() as folder:
        for write, suffix in ((export_image, "npz"), (export_image, "tif"), (write_netcdf, "nc")):
            (path,) = write(f"{folder}/kernel.{suffix}", [image.as_layer_data_tuple()])
            assert get_reader(path) is not None
            again = Layer.create(*read_layers(path)[0])
            for corner in ((0, 0), (2, 3)):
                np.testing.assert_allclose(
                    again.data_to_world(corner), image.data_to_world(corner), atol=1e-9
                )


def test_dropped_defects_lie_where_they_lay(model: ViewerModel, tmp_path: Path) -> None:
    image = add_map(model)
    defects = Defects([[1.5, 2.25], [3, 4]], ["vacancy", "adatom"], [1.0, 0.5])
    (points,) = add_layers(model, [points_from_defects(defects, image)])
    (path,) = points.save(tmp_path / "map_defects.csv", plugin=OURS)
    (again,) = model.open(path, plugin=OURS)
    assert again.units == image.units
    np.testing.assert_allclose(again.data_to_world((1, 2)), image.data_to_world((1, 2)))
    assert defects_from_points(again) == defects
    assert "pixel" not in str(model.layers.extent.units)
    (plain,) = model.open(path, plugin="napari")
    np.testing.assert_array_equal(plain.data, points.data)


def test_defects_of_the_command_lie_on_their_scan(model: ViewerModel, tmp_path: Path) -> None:
    scan = scan_dataset(
        [Channel("Z", np.zeros((6, 8), np.float32), "nm", "topography")],
        source="made", format="test", pixel_nm=(0.5, 0.25),
        offset_nm=(20, -30), scan_angle_deg=25,
    )  # fmt: skip
    (image,) = model.open(save_scan(scan, tmp_path / "scan.nc"), plugin=OURS)
    Defects([[1.0, 2.0]]).to_csv(tmp_path / "scan_defects.csv", frame=frame_of(scan))
    (points,) = model.open(tmp_path / "scan_defects.csv", plugin=OURS)
    np.testing.assert_allclose(points.data_to_world((1, 2)), image.data_to_world((1, 2)))
    assert points.units == image.units


def test_foreign_tables_and_archives_are_left_to_others(tmp_path: Path) -> None:
    (tmp_path / "defects.csv").write_text("x,y\n1,2\n")
    np.savez(tmp_path / "a.npz", weights=np.zeros(3))
    tifffile.imwrite(tmp_path / "kernel.tif", np.zeros((4, 4), np.float32), imagej=True)
    for name in ("defects.csv", "a.npz", "kernel.tif", "missing_defects.csv"):
        assert get_reader(str(tmp_path / name)) is None, name


def test_images_and_points_do_not_go_into_one_file(model: ViewerModel, tmp_path: Path) -> None:
    model.layers.selection = {add_map(model), model.add_points([[1, 1]], units=("nm", "nm"))}
    with pytest.raises(NotSavedError, match="files of their own"):
        model.layers.save(tmp_path / "both.gwy", selected=True, plugin=OURS)
