"""The public CSV layout: number by number, tolerant of padding, strict about damage."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from qpi_kernels.simulate.datasets.public_layout import (
    DatasetFormatError,
    kernel_number,
    pixel_positions,
    public_csv_path,
    read_public_csv,
    write_public_csv,
)

# Four pixels a side, pitch 2 Angstrom; the pixel at x index i and y index j is 10 i + j.
PIXELS = "0,1,2,3,10,11,12,13,20,21,22,23,30,31,32,33"
TINY = [
    "4,2",
    "-3,-1,1,3",
    f"{PIXELS},0,0,1000,1000",
    f"{PIXELS.replace('13', '-1.5e-2')},1,-1,1000,1000",
    f"{PIXELS},-3,3,2.5,-0.25",
]
IMAGE = [[0, 10, 20, 30], [1, 11, 21, 31], [2, 12, 22, 32], [3, 13, 23, 33]]


@pytest.fixture
def write(tmp_path):
    def writer(lines, name="Kernel number3 tiny.csv", newline="\n", end="\n", start=b""):
        path = tmp_path / name
        path.write_bytes(start + (newline.join(lines) + end).encode())
        return path

    return writer


def changed(line, text):
    return [*TINY[: line - 1], text, *TINY[line:]]


def test_a_tiny_file_number_by_number(write):
    file = read_public_csv(write(TINY))
    assert file.number == 3
    assert_array_equal(file.axis, [-3, -1, 1, 3])
    assert_array_equal(file.kernel, IMAGE)
    assert file.kernel.dtype == np.float32
    nan = np.nan
    assert_array_equal(file.positions, [[[1, -1], [nan, nan]], [[-3, 3], [2.5, -0.25]]])
    observations = file.read_observations()
    assert observations.dtype == np.float32
    assert_array_equal(observations[1], IMAGE)
    # The changed pixel has x index 1 and y index 3: column 1, row 3.
    assert_array_equal(np.argwhere(observations[0] != observations[1]), [[3, 1]])
    assert observations[0, 3, 1] == np.float32(-0.015)


def test_scatterers_become_row_and_column(write):
    file = read_public_csv(write(TINY))
    rows_and_columns = pixel_positions(file.positions, file.axis)
    nan = np.nan
    assert_allclose(rows_and_columns, [[[1, 2], [nan, nan]], [[3, 0], [1.375, 2.75]]])


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (lambda lines: lines, {"newline": "\r\n"}),
        (lambda lines: lines, {"end": ""}),
        (lambda lines: lines, {"end": "\n\n\r\n"}),
        (lambda lines: [*lines, "," * 19], {}),
        (lambda lines: lines, {"start": b"\xef\xbb\xbf"}),
        (lambda lines: ["4,2" + "," * 18, lines[1] + "," * 16, *lines[2:]], {}),
        (lambda lines: ["4.0,2.0" + ",0" * 18, lines[1] + ",0" * 16, *lines[2:]], {}),
        (lambda lines: ["4,2" + ",NaN" * 18, lines[1] + ",NaN" * 16, *lines[2:]], {}),
        (lambda lines: [line.replace(",", ", ") for line in lines], {}),
        (lambda lines: [line.replace(",1000", ",") for line in lines], {}),
        (lambda lines: [line.replace(",1000", ",1.0000e+03") for line in lines], {}),
        (lambda lines: [line.replace(",1000", "") for line in lines], {}),
        (lambda lines: [*lines[:2], PIXELS, *lines[3:]], {}),
        (lambda lines: [*lines[:4], lines[4] + ",1000,1000,,"], {}),
    ],
)
def test_padding_and_line_ends_do_not_matter(write, change, options):
    expected = read_public_csv(write(TINY))
    images = expected.read_observations()
    found = read_public_csv(write(change(TINY), "Kernel number3.csv", **options))
    assert_array_equal(found.axis, expected.axis)
    assert_array_equal(found.kernel, expected.kernel)
    assert_array_equal(found.positions, expected.positions)
    assert_array_equal(found.read_observations(), images)


@pytest.mark.parametrize(
    ("lines", "line", "reason"),
    [
        ([], None, "ends before the resolution"),
        (TINY[:1], None, "ends before the pixel coordinates"),
        (TINY[:2], None, "ends before the kernel"),
        (changed(1, "<html>404</html>"), 1, "could not convert"),
        (changed(1, "4"), 1, "resolution and the largest number"),
        (changed(1, "4.5,2"), 1, "resolution and the largest number"),
        (changed(1, "100000000,2"), 1, "resolution and the largest number"),
        (changed(1, "3,2"), 2, "must hold 3 pixel coordinates"),
        (changed(1, "5,2"), 2, "must hold 5 pixel coordinates"),
        (changed(2, "-3,-1,2,3"), 2, "even steps"),
        (changed(2, "3,1,-1,-3"), 2, "must grow"),
        (changed(3, "1,2,3"), 3, "holds 3 of 16 finite pixels"),
        (changed(3, TINY[2].replace("13", "")), 3, "holds 15 of 16 finite pixels"),
        (changed(3, f"{PIXELS},1,0,1000,1000"), 3, r"must lie at \(0, 0\)"),
        (changed(4, "1,2,3"), 4, "holds 3 cells, fewer than 16"),
        (changed(4, f"{PIXELS},1,-1,1000,5"), 4, "lacks x or y"),
        (changed(4, f"{PIXELS},1,inf,1000,1000"), 4, "lacks x or y"),
        (changed(4, f"{PIXELS},1,2,3,4,5,6"), 4, "more than 2 scatterers"),
        (changed(4, f"{PIXELS},1,-1,here,there"), 4, "could not convert"),
        ([*TINY, TINY[4], f"{PIXELS},2,-1"], 7, "the file was cut off"),
        ([*TINY[:4], "", TINY[4]], 5, "empty; delete this line"),
    ],
)
def test_damage_is_named_with_its_line(write, lines, line, reason):
    path = write(lines)
    with pytest.raises(DatasetFormatError, match=reason) as found:
        read_public_csv(path)
    assert (found.value.path, found.value.line) == (path, line)
    assert str(found.value).startswith("Kernel number3 tiny.csv")
    assert str(pickle.loads(pickle.dumps(found.value))) == str(found.value)


@pytest.mark.parametrize("pixel", ["", "nan", "inf", "7.3.1", "#NAME?"])
def test_a_damaged_pixel_is_found_when_the_images_are_read(write, pixel):
    file = read_public_csv(write(changed(5, TINY[4].replace("13", pixel))))
    with pytest.raises(DatasetFormatError) as found:
        file.read_observations()
    assert found.value.line == 5


def test_a_file_without_observations_holds_a_kernel(write):
    file = read_public_csv(write(TINY[:3]))
    assert file.positions.shape == (0, 2, 2)
    assert file.read_observations().shape == (0, 4, 4)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("Kernel number7 something.csv", 7),
        ("Kernel number12.csv", 12),
        ("kernel Number 100 64X64 vp coords.CSV", 100),
        ("Kernel number7 something.txt", None),
        ("Kernel number7 3observation.csv", None),
        ("Kernel number7 3activation.csv", None),
        ("Kernel number7 obs_summary.csv", None),
        ("._Kernel number7 something.csv", None),
        (".Kernel number7 coords.partial.csv", None),
        ("Kernel numbers.csv", None),
    ],
)
def test_the_kernel_number_is_in_the_name(write, name, number):
    path = write(TINY, name)
    assert kernel_number(path) == number
    if number is None:
        with pytest.raises(DatasetFormatError, match="rename it"):
            read_public_csv(path)
    else:
        assert read_public_csv(path).number == number


def some_images(count=3, side=5, scale=1.0):
    rng = np.random.default_rng(0)
    images = (scale * rng.standard_normal((count + 1, side, side))).astype(np.float32)
    positions = np.full((count, 4, 2), np.nan)
    positions[:, :3] = rng.uniform(-100, 100, (count, 3, 2))
    return dict(
        kernel=images[0],
        observations=images[1:],
        positions_A=positions,
        axis_A=np.linspace(-50, 50, side),
        max_scatterers=4,
    )


@settings(max_examples=25, deadline=None)
@given(exponent=st.integers(-30, 30), side=st.integers(2, 7), count=st.integers(0, 3))
def test_what_is_written_comes_back(tmp_path_factory, exponent, side, count):
    written = some_images(count, side, 10.0**exponent)
    path = write_public_csv(public_csv_path(tmp_path_factory.mktemp("csv"), 4), **written)
    file = read_public_csv(path)
    assert_array_equal(file.axis, written["axis_A"])
    assert_array_equal(file.kernel, written["kernel"])
    assert_array_equal(file.positions, written["positions_A"])
    peak = np.abs(written["observations"]).max(axis=(1, 2), initial=0)
    error = np.abs(file.read_observations() - written["observations"]).max(axis=(1, 2), initial=0)
    assert (error <= 1.2e-7 * peak).all()  # 1e-7 as promised, and the rounding to float32


def test_an_empty_image_comes_back(tmp_path):
    written = some_images() | {"observations": np.zeros((3, 5, 5))}
    path = write_public_csv(tmp_path / "Kernel number1.csv", **written)
    assert_array_equal(read_public_csv(path).read_observations(), 0)


def test_the_published_scripts_can_read_what_is_written(tmp_path):
    written = some_images()
    path = write_public_csv(public_csv_path(tmp_path, 12, noisy=True), **written)
    assert path.parent.name == "64X64 vp coords noisy"
    assert " ".join(path.stem.split()[:2]) == "Kernel number12"
    # Without names pandas wants all lines as long as the first.
    table = pd.read_csv(path, header=None, engine="python")
    assert table.shape == (6, 25 + 8)
    assert table.iloc[0, :2].tolist() == [5, 4]
    assert table.iloc[0, 2:].isna().all()
    assert table.iloc[1, :5].tolist() == [-50, -25, 0, 25, 50]
    assert table.iloc[2, 25:].tolist() == [0, 0, *6 * [1000]]
    for sample in range(3):
        grid = table.iloc[3 + sample, :25].to_numpy().reshape(5, 5)
        assert_allclose(grid.T, written["observations"][sample], atol=4e-7)
        used = written["positions_A"][sample, :3].ravel()
        assert table.iloc[3 + sample, -8:].tolist() == [*used, 1000, 1000]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("kernel", np.zeros((5, 4)), "must match"),
        ("observations", np.zeros((2, 5, 5)), "do not fit"),
        ("observations", np.full((3, 5, 5), np.nan), "must be finite"),
        ("axis_A", [-50, -25, 0, 25, 60], "even steps"),
        ("axis_A", np.linspace(-50, 50, 6), "do not fit"),
        ("max_scatterers", 2, "up to 2 scatterers"),
        ("positions_A", np.full((3, 1, 2), 1000.0), "other than 1000"),
        ("positions_A", np.full((3, 1, 2), [0.0, np.nan]), "finite coordinates"),
    ],
)
def test_the_writer_refuses_and_leaves_the_old_file(tmp_path, name, value, reason):
    path = write_public_csv(tmp_path / "Kernel number1.csv", **some_images())
    before = path.read_bytes()
    with pytest.raises(ValueError, match=reason):
        write_public_csv(path, **some_images() | {name: value})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
