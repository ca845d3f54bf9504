"""Opening files in napari: what is claimed, what is shown, what is said when it fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import gsffile
import numpy as np
import pytest
import tifffile
import xarray as xr
from napari.errors.reader_errors import ReaderPluginError
from npe2 import PluginManager

from napari_qpi.layers.conversion import METADATA_KEY, result_of
from napari_qpi.layers.scan import scan_layers
from napari_qpi.readers import IncompleteScanWarning, get_reader
from qpi_kernels.io import Channel, scan_dataset
from qpi_kernels.io.formats.netcdf import save_scan
from qpi_kernels.result import KernelResult

if TYPE_CHECKING:
    from napari import Viewer
    from napari.components import ViewerModel

OURS = "napari-qpi"


@pytest.fixture
def gsf(tmp_path: Path) -> Path:
    path = tmp_path / "made here.gsf"
    heights = np.random.default_rng(0).normal(size=(16, 12)).astype(np.float32) * 1e-10
    lengths = {"XReal": 6e-9, "YReal": 4e-9, "XYUnits": "m", "ZUnits": "m", "Title": "Topography"}
    gsffile.write_gsf(path, heights, lengths)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "a.sxm",
        "A.SXM",
        "a.3ds",
        "b.141806.dat",
        "a.sm4",
        "20201111--4_1.Z_mtrx",
        "default_2015--2_1.I(V)_mtrx",
        "a.gwy",
        "a.gsf",
        "a.nc",
        "a.npz",
        "map_kernel.tif",
    ],
)
def test_microscope_files_are_claimed(plugin_manager: PluginManager, name: str) -> None:
    readers = [reader.plugin_name for reader in plugin_manager.iter_compatible_readers(name)]
    assert OURS in readers


@pytest.mark.parametrize("name", ["a.tif", "a.npy", "a.csv", "a.png", "a.mtrx", "a.h5"])
def test_other_files_are_left_to_others(plugin_manager: PluginManager, name: str) -> None:
    readers = [reader.plugin_name for reader in plugin_manager.iter_compatible_readers(name)]
    assert OURS not in readers


def test_shared_extensions_are_claimed_by_content(tmp_path: Path) -> None:
    (tmp_path / "log.dat").write_text("time,value\n1,2\n")
    (tmp_path / "empty.dat").touch()
    tifffile.imwrite(tmp_path / "image.dat", np.zeros((4, 4), np.uint8))
    xr.Dataset({"t": ("x", np.arange(3.0))}).to_netcdf(tmp_path / "climate.nc", engine="h5netcdf")
    (tmp_path / "broken.nc").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(40))
    (tmp_path / "sts.dat").write_text("Experiment\tbias spectroscopy\t\n")
    for foreign in ("log.dat", "empty.dat", "image.dat", "climate.nc", "broken.nc", "missing.dat"):
        assert get_reader(str(tmp_path / foreign)) is None, foreign
    assert get_reader(str(tmp_path)) is None
    assert get_reader(str(tmp_path / "sts.dat")) is not None
    assert get_reader([str(tmp_path / "sts.dat"), str(tmp_path / "log.dat")]) is None
    assert get_reader([]) is None


def test_a_file_opens_with_scale_and_units(viewer: Viewer, gsf: Path) -> None:
    (layer,) = viewer.open(gsf, plugin=OURS)
    assert layer.name == "made here topography"
    np.testing.assert_allclose(layer.scale, (4 / 16, 6 / 12))
    assert [str(unit) for unit in layer.units] == ["nanometer", "nanometer"]
    assert layer.axis_labels == ("y", "x")
    assert layer.visible
    assert layer.metadata[METADATA_KEY]["units"] == "nm"
    assert layer.source.reader_plugin == OURS


def test_a_damaged_file_says_in_one_line_why(viewer: Viewer, tmp_path: Path) -> None:
    path = tmp_path / "damaged.sxm"
    path.write_bytes(b":NANONIS_VERSION:\n2\n")
    with pytest.raises(ValueError, match=r"damaged.sxm: not readable as Nanonis .sxm") as direct:
        viewer.open(path, plugin=OURS)
    assert "\n" not in str(direct.value)
    with pytest.raises(ReaderPluginError, match=r"damaged.sxm: not readable as Nanonis .sxm"):
        viewer.open(path, plugin=None)
    assert not viewer.layers


def test_an_unfinished_scan_opens_with_a_warning(model: ViewerModel, tmp_path: Path) -> None:
    data = np.full((4, 4), np.nan, np.float32)
    data[:2] = [[1, 2, 3, 4], [2, 3, 4, 5]]
    scan = scan_dataset(
        [Channel("Z", data, "nm", "topography", "forward")],
        source="made", format="test", pixel_nm=(1, 1), complete=False,
    )  # fmt: skip
    path = save_scan(scan, tmp_path / "aborted.nc")
    with pytest.warns(IncompleteScanWarning, match=r"aborted.nc: the scan was not finished"):
        (layer,) = model.open(path, plugin=OURS)
    assert np.isfinite(layer.contrast_limits).all()


def channel(quantity: str, direction: str = "forward", value: float | None = None) -> Channel:
    data = np.random.default_rng(len(quantity)).normal(size=(4, 4)).astype(np.float32)
    return Channel(
        quantity, data if value is None else np.full_like(data, value), "", quantity, direction
    )


@pytest.mark.parametrize(
    ("channels", "order", "visible"),
    [
        (
            [channel("topography"), channel("topography", "backward"), channel("didv")],
            ["dIdV forward", "topography forward", "topography backward"],
            2,
        ),
        (
            [channel("topography", value=0.01), channel("current")],
            ["current forward", "topography forward"],
            1,
        ),
        ([channel("topography", value=0.0)], ["topography forward"], 1),
    ],
)
def test_what_matters_is_on_top(channels: list[Channel], order: list[str], visible: int) -> None:
    scan = scan_dataset(channels, source="made", format="test", pixel_nm=(1, 1))
    layers = [arguments for _, arguments, _ in reversed(scan_layers(scan, "scan"))]
    assert [layer["name"] for layer in layers] == [f"scan {name}" for name in order]
    assert [layer["visible"] for layer in layers] == [i < visible for i in range(len(layers))]


def test_channels_of_one_name_are_told_apart() -> None:
    twice = [Channel(label, np.ones((3, 3), np.float32), "S", "didv") for label in ("LI X", "LI Y")]
    scan = scan_dataset(twice, source="made", format="test", pixel_nm=(1, 1))
    names = {arguments["name"] for _, arguments, _ in scan_layers(scan, "s")}
    assert names == {"s dIdV (LI X)", "s dIdV (LI Y)"}


@pytest.mark.parametrize(
    ("label", "quantity", "name"), [("Gain / A", "other", "s Gain-A"), ("dI/dV", "didv", "s dIdV")]
)
def test_the_names_of_layers_can_be_names_of_files(label: str, quantity: str, name: str) -> None:
    one = Channel(label, np.ones((3, 3), np.float32), "", quantity)
    scan = scan_dataset([one], source="made", format="test", pixel_nm=(1, 1))
    ((_, arguments, _),) = scan_layers(scan, "s")
    assert arguments["name"] == name


def test_point_spectra_become_points_with_their_curves(model: ViewerModel) -> None:
    curves = np.arange(6, dtype=np.float32).reshape(2, 3)
    scan = scan_dataset(
        [Channel("Current", curves, "A", "current")],
        source="made", format="test", pixel_nm=None, bias=np.array([-1.0, 0, 1]),
        spectrum_positions_nm=np.array([[10.0, 5.0], [20.0, -5.0]]),
    )  # fmt: skip
    ((data, arguments, _),) = scan_layers(scan, "sts")
    layer = model.add_points(data, **arguments)
    np.testing.assert_allclose(layer.data, [[-5, 10], [5, 20]])
    assert [str(unit) for unit in layer.units] == ["nanometer", "nanometer"]
    known = layer.metadata[METADATA_KEY]
    np.testing.assert_array_equal(known["curves"]["current"], curves)
    assert known["bias"] == [-1.0, 0.0, 1.0]


def test_a_saved_kernel_opens_as_its_layers(
    model: ViewerModel, make_result: Callable[..., KernelResult], tmp_path: Path
) -> None:
    path = make_result().save(tmp_path / "kernel.nc")
    layers = model.open(path, plugin=OURS)
    assert [layer.name for layer in layers] == ["residual", "reconstruction", "std", "kernel"]
    assert result_of(layers[-1]).provenance["seed"] == 5


def write_height_sweep(path: Path) -> Path:
    """Write a grid of 2 x 3 points whose sweep runs over Z rel from 1 nm down to 0, in 5 points."""
    header = {
        "Grid dim": '"3 x 2"',
        "Grid settings": "1E-8;2E-8;6E-9;4E-9;0",
        "Sweep Signal": '"Z rel (m)"',
        "Fixed parameters": '"Sweep Start;Sweep End"',
        "Experiment parameters": '"X (m);Y (m);Z (m)"',
        "# Parameters (4 byte)": "5",
        "Experiment size (bytes)": "20",
        "Points": "5",
        "Channels": '"Current (A)"',
        "Bias>Bias (V)": "50E-3",
    }
    text = "".join(f"{key}={value}\r\n" for key, value in header.items())
    records = np.zeros((2, 3, 10), ">f4")
    records[..., :2] = 1e-9, 0
    records[..., 5:] = 1e-12 * np.arange(1, 6)
    path.write_bytes(text.encode() + b":HEADER_END:\r\n" + records.tobytes())
    return path


def test_a_sweep_of_height_has_an_axis_of_its_own(model: ViewerModel, tmp_path: Path) -> None:
    layers = model.open(write_height_sweep(tmp_path / "z.3ds"), plugin=None)
    (top,) = (layer for layer in layers if layer.ndim == 3)
    assert top.axis_labels == ("Z rel", "y", "x")
    assert [str(unit) for unit in top.units] == ["nanometer"] * 3
    np.testing.assert_allclose(top.scale, (0.25, 2, 2), rtol=1e-6)
    # The sweep falls; napari's axes rise.
    np.testing.assert_allclose(top.data[:, 0, 0], 1e-12 * np.arange(5, 0, -1), rtol=1e-6)
    assert top.data_to_world((4, 0, 0))[0] == pytest.approx(1)
    assert [str(unit) for unit in model.layers.extent.units] == ["nanometer"] * 3
    assert top.metadata[METADATA_KEY]["bias"] == pytest.approx(0.05)


def test_a_real_grid_with_another_sweep_opens(
    model: ViewerModel, samples: Path, tmp_path: Path
) -> None:
    real = (samples / "nanonis_grid_bias.3ds").read_bytes()
    assert b'Sweep Signal="Bias (V)"' in real
    path = tmp_path / "frequency.3ds"
    path.write_bytes(real.replace(b'Sweep Signal="Bias (V)"', b'Sweep Signal="Drive (Hz)"'))
    layers = model.open(path, plugin=None)
    stacks = [layer for layer in layers if layer.ndim == 3]
    assert {layer.axis_labels for layer in stacks} == {("Drive", "y", "x")}
    assert {str(layer.units[0]) for layer in stacks} == {"hertz"}


@pytest.mark.parametrize("unit", ["", "a.u./div", "no unit)", "counts"])
def test_a_stack_over_an_unknown_unit_opens(model: ViewerModel, unit: str) -> None:
    scan = scan_dataset(
        [Channel("Z", np.ones((3, 4, 4), np.float32), "nm")],
        source="made", format="test", pixel_nm=(1, 1),
    ).rename(bias="sweep")  # fmt: skip
    scan = scan.assign_coords(sweep=("sweep", [0.0, 1.0, 2.0], {"units": unit}))
    ((data, arguments, _),) = scan_layers(scan, "s")
    layer = model.add_image(data, **arguments)
    assert layer.axis_labels == ("sweep", "y", "x")
    assert str(layer.units[-1]) == "nanometer"


REAL = {
    "nanonis_moire_10nm.sxm": ("topography forward", (160, 160), 0.0625),
    "nanonis_gen5_Au_mica.sxm": ("current forward", (256, 256), 4 / 256),
    "nanonis_grid_bias.3ds": ("dIdV numeric", (128, 20, 20), 0.75),
    "createc_friedel_rings_60nm.dat": ("topography forward", (512, 512), None),
    "createc_preview_120nm.dat": ("topography forward", (10, 64, 64), None),
    "rhk_topo_ABC_graphite.sm4": ("topography forward", (128, 128), None),
    "omicron/20201111--4_1.Z_mtrx": ("topography forward", (400, 400), 0.25),
    "synthetic_example.gsf": ("topography", (64, 48), 0.1875),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_open_by_themselves(model: ViewerModel, samples: Path, name: str) -> None:
    label, shape, pitch = REAL[name]
    layers = model.open(samples / name, plugin=None)
    top = layers[-1]
    assert top.name.endswith(label)
    assert top.visible
    assert top.data.shape == shape
    assert [str(unit) for unit in top.units[-2:]] == ["nanometer", "nanometer"]
    if pitch is not None:
        assert top.scale[-2] == pytest.approx(pitch, rel=1e-4)
    assert len({tuple(layer.translate[-2:]) for layer in layers}) == 1


def test_the_corner_of_a_real_grid_lies_where_its_own_channels_say(
    model: ViewerModel, samples: Path
) -> None:
    layers = model.open(samples / "nanonis_grid_bias.3ds", plugin=OURS)
    position = {
        axis: next(layer for layer in layers if layer.name.endswith(f" {axis}")).data[0]
        for axis in "XY"
    }
    for row, col in ((0, 0), (19, 0), (7, 13)):
        world = layers[-1].data_to_world((0, row, col))
        np.testing.assert_allclose(world[2], position["X"][row, col], atol=1e-3)
        np.testing.assert_allclose(world[1], -position["Y"][row, col], atol=1e-3)


def test_a_real_rotated_scan_is_rotated_about_its_centre(model: ViewerModel, samples: Path) -> None:
    top = model.open(samples / "nanonis_gen5_Au_mica.sxm", plugin=OURS)[-1]
    np.testing.assert_allclose(top.data_to_world((127.5, 127.5)), (157.108, 150.066), atol=1e-2)
    # 135.1 degrees clockwise: the frame's right side points down and left.
    along = np.subtract(top.data_to_world((0, 255)), top.data_to_world((0, 0)))
    angle = np.deg2rad(135.1)
    np.testing.assert_allclose(
        along / np.linalg.norm(along), (np.sin(angle), np.cos(angle)), atol=1e-3
    )


def test_real_spectra_open_as_points(model: ViewerModel, samples: Path) -> None:
    (layer,) = model.open(samples / "nanonis_sts_15mv.dat", plugin=None)
    curves = layer.metadata[METADATA_KEY]["curves"]
    assert curves
    assert all(curve.shape[0] == len(layer.data) for curve in curves.values())
