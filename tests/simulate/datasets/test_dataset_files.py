"""Whole data sets: either format, labels, noisy partners, lazy images, and whose pixel is whose."""

import json

import numpy as np
import pytest
import torch
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from qpi_kernels.forward import ForwardModel
from qpi_kernels.simulate.datasets.labels import KernelLabels, published_fold, write_record
from qpi_kernels.simulate.datasets.netcdf_layout import netcdf_path, write_netcdf
from qpi_kernels.simulate.datasets.observations import (
    binary_activation,
    dataset_defects,
    paper_activation,
)
from qpi_kernels.simulate.datasets.public_layout import (
    DatasetFormatError,
    public_csv_path,
    write_public_csv,
)
from qpi_kernels.simulate.datasets.read_dataset import read_qpi_dataset

PUBLIC_AXIS = np.linspace(-200, 200, 64)


def some_samples(number=1, count=2, side=6, defects=3):
    rng = np.random.default_rng(number)
    images = rng.standard_normal((2 * count + 1, side, side)).astype(np.float32)
    positions = np.full((count, defects, 2), np.nan)
    positions[:, : defects - 1] = rng.uniform(-50, 50, (count, defects - 1, 2))
    return dict(
        kernel=images[0],
        observations=images[1 : count + 1],
        observations_noisy=images[count + 1 :],
        positions_A=positions,
        axis_A=np.linspace(-50, 50, side),
    )


def write_csv(folder, number, samples, *, noisy=False, both=False):
    for kind in (False, True) if both else (noisy,):
        chosen = {name: samples[name] for name in ("kernel", "positions_A", "axis_A")}
        chosen["observations"] = samples["observations_noisy" if kind else "observations"]
        path = public_csv_path(folder, number, noisy=kind)
        write_public_csv(path, **chosen, max_scatterers=samples["positions_A"].shape[1])
    return path


LABELS = {
    2: KernelLabels(fold=4, family="square", split="train", family_split="test", seed=5),
    10: KernelLabels(fold=1, family="disc", split="test", parameters={"mass": 0.4}),
}


def write_both_formats(folder):
    """Write kernels 10 and 2 as CSV and as NetCDF."""
    for number, labels in LABELS.items():
        samples = some_samples(number)
        write_csv(folder / "csv", number, samples, both=True)
        path = netcdf_path(folder / "nc", number)
        write_netcdf(path, number=number, labels=labels, **samples)
    for part in ("csv", "nc"):
        write_record(folder / part, LABELS, {"seed": 5})


def test_both_formats_give_the_same_data_set(tmp_path):
    write_both_formats(tmp_path)
    csv, netcdf = (read_qpi_dataset(tmp_path / part) for part in ("csv", "nc"))
    xr.testing.assert_allclose(csv, netcdf, atol=1e-6)
    assert csv.attrs | {"source": "", "format": ""} == netcdf.attrs | {"source": "", "format": ""}
    assert (csv.attrs["format"], netcdf.attrs["format"]) == ("public CSV", "NetCDF")
    assert {name: variable.dtype for name, variable in csv.variables.items()} == {
        name: variable.dtype for name, variable in netcdf.variables.items()
    }


@pytest.mark.parametrize("part", ["csv", "nc"])
def test_everything_written_is_read(tmp_path, part):
    write_both_formats(tmp_path)
    dataset = read_qpi_dataset(tmp_path / part)
    assert dataset.number.values.tolist() == [2, 10]
    assert dataset.observation.dims == ("kernel", "sample", "y", "x")
    assert dataset.position.dims == ("kernel", "sample", "defect", "axis")
    for index, number in enumerate([2, 10]):
        samples = some_samples(number)
        assert_array_equal(dataset.kernel_true[index], samples["kernel"])
        assert_allclose(dataset.observation[index], samples["observations"], atol=1e-6)
        assert_allclose(dataset.observation_noisy[index], samples["observations_noisy"], atol=1e-6)
        assert_allclose(dataset.position[index, ..., 0], samples["positions_A"][..., 1] / 20 + 2.5)
        assert_allclose(dataset.position[index, ..., 1], samples["positions_A"][..., 0] / 20 + 2.5)
    assert_allclose(dataset.x, np.linspace(-5, 5, 6))
    assert_allclose(dataset.y, np.linspace(-5, 5, 6))
    assert dataset.x.units == "nm"
    assert dataset.fold.values.tolist() == [4, 1]
    assert dataset.family.values.tolist() == ["square", "disc"]
    assert dataset.split.values.tolist() == ["train", "test"]
    assert dataset.family_split.values.tolist() == ["test", ""]
    assert dataset.seed.values.tolist() == [5, -1]
    assert [json.loads(text) for text in dataset.parameters.values] == [{}, {"mass": 0.4}]
    assert json.loads(dataset.attrs["protocol"]) == {"seed": 5}
    assert dataset.attrs["fold_source"] == "labels of the data set"


def test_a_data_set_can_be_saved_as_one_file(tmp_path):
    write_both_formats(tmp_path)
    dataset = read_qpi_dataset(tmp_path / "csv")
    dataset.to_netcdf(tmp_path / "all.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "all.nc", engine="h5netcdf") as file:
        assert_array_equal(file.observation_noisy, dataset.observation_noisy)


def test_a_single_file_is_a_data_set(tmp_path):
    write_both_formats(tmp_path)
    for path in (netcdf_path(tmp_path / "nc", 2), public_csv_path(tmp_path / "csv", 2)):
        dataset = read_qpi_dataset(path)
        assert dataset.number.values.tolist() == [2]
        assert dataset.fold.values.tolist() == [4]
        assert_allclose(dataset.observation[0], some_samples(2)["observations"], atol=1e-6)


def test_the_same_kernels_in_both_formats_are_read_once(tmp_path):
    write_both_formats(tmp_path)
    dataset = read_qpi_dataset(tmp_path)
    assert dataset.attrs["format"] == "NetCDF"
    assert dataset.sizes["kernel"] == 2
    write_csv(tmp_path / "csv", 11, some_samples(11))
    with pytest.raises(DatasetFormatError, match="other kernels as CSV than as NetCDF"):
        read_qpi_dataset(tmp_path)


def test_public_files_come_in_numerical_order_with_published_labels(tmp_path):
    for number in (100, 2, 1, 10):
        write_csv(tmp_path, number, some_samples(number))
    dataset = read_qpi_dataset(tmp_path)
    assert dataset.number.values.tolist() == [1, 2, 10, 100]
    assert dataset.fold.values.tolist() == [1, 1, 2, 3]
    assert "published" in dataset.attrs["fold_source"]
    assert "family" not in dataset
    assert "observation_noisy" not in dataset
    assert_array_equal(dataset.kernel_true[2], some_samples(10)["kernel"])


def test_files_beyond_the_public_numbers_have_no_published_labels(tmp_path):
    for number in (3, 101):
        write_csv(tmp_path, number, some_samples(number))
    dataset = read_qpi_dataset(tmp_path)
    assert dataset.fold.values.tolist() == [0, 0]
    assert dataset.attrs["fold_source"] == "unknown"


def test_there_are_a_hundred_published_labels():
    folds = [published_fold(number) for number in range(1, 101)]
    assert {fold: folds.count(fold) for fold in set(folds)} == {1: 12, 2: 27, 3: 19, 4: 24, 6: 18}
    assert [published_fold(number) for number in (3, 45, 46, 81, 82, 84)] == [4, 4, 6, 3, 1, 4]
    assert published_fold(101) == published_fold(0) == 0


def test_foreign_files_are_left_alone(tmp_path):
    write_csv(tmp_path, 1, some_samples())
    for name in ("notes.csv", "Kernel number1 4observation.csv", "kernel_result.nc"):
        (tmp_path / name).write_text("1,2\nabc\n")
    (tmp_path / "dataset.json").write_text('{"name": "of another program"}')
    assert read_qpi_dataset(tmp_path).number.values.tolist() == [1]


def test_images_stay_on_disk_until_needed(tmp_path):
    for number in (1, 2):
        path = write_csv(tmp_path, number, some_samples(number), both=True)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:4], "x" + lines[4]]) + "\n")
    dataset = read_qpi_dataset(tmp_path)
    for name in ("observation", "observation_noisy"):
        assert dataset[name].chunks == ((1, 1), (2,), (6,), (6,))
    assert isinstance(dataset.kernel_true.variable.data, np.ndarray)
    assert isinstance(dataset.position.variable.data, np.ndarray)
    assert_allclose(dataset.observation_noisy[0], some_samples(1)["observations_noisy"], atol=1e-6)
    with pytest.raises(DatasetFormatError, match=r"Kernel number2 coords\.csv, line 5: could"):
        dataset.observation_noisy[1].compute()
    with pytest.raises(DatasetFormatError, match="line 5"):
        read_qpi_dataset(tmp_path, lazy=False)


def test_reading_at_once_gives_numpy_arrays(tmp_path):
    write_csv(tmp_path, 1, some_samples())
    dataset = read_qpi_dataset(tmp_path, lazy=False)
    assert dataset.observation.chunks is None


def test_noisy_images_alone_are_the_observations(tmp_path):
    samples = some_samples()
    write_csv(tmp_path / "data_noise", 1, samples, noisy=True)
    dataset = read_qpi_dataset(tmp_path)
    assert_allclose(dataset.observation[0], samples["observations_noisy"], atol=1e-6)
    assert "observation_noisy" not in dataset


def test_noisy_images_need_their_clean_ones(tmp_path):
    write_csv(tmp_path, 1, some_samples(), both=True)
    added = write_csv(tmp_path, 4, some_samples(4))
    with pytest.raises(DatasetFormatError, match="kernel 4 is either clean or noisy"):
        read_qpi_dataset(tmp_path)
    added.unlink()
    write_csv(tmp_path, 1, some_samples(4), noisy=True)
    dataset = read_qpi_dataset(tmp_path)
    with pytest.raises(DatasetFormatError, match="scatterers are not those of the clean"):
        dataset.observation_noisy.compute()


@pytest.mark.parametrize("part", ["csv", "nc"])
def test_kernels_with_fewer_samples_or_defects_are_filled_with_nan(tmp_path, part):
    for number, count, defects in ((1, 3, 2), (2, 1, 4)):
        samples = some_samples(number, count, defects=defects)
        if part == "csv":
            write_csv(tmp_path, number, samples)
        else:
            write_netcdf(netcdf_path(tmp_path, number), number=number, **samples)
    dataset = read_qpi_dataset(tmp_path)
    assert dataset.sample_count.values.tolist() == [3, 1]
    assert dataset.sizes["defect"] == 4
    missing = np.isnan(dataset.observation.values).all(axis=(2, 3))
    assert_array_equal(missing, [[False, False, False], [False, True, True]])
    assert len(dataset_defects(dataset, 0, 2).positions) == 1
    assert len(dataset_defects(dataset, 1, 0).positions) == 3
    assert len(dataset_defects(dataset, 1, 2).positions) == 0


def other_axis(samples):
    return samples | {"axis_A": samples["axis_A"] + 2}


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda folder: None, "holds neither"),
        (lambda folder: (folder / "kernel_003.nc").write_bytes(b"short"), "not readable as NetCDF"),
        (lambda folder: xr.Dataset().to_netcdf(folder / "kernel_003.nc"), "not a kernel of a simu"),
        (lambda folder: (folder / "Kernel number3 a.csv").write_text("Not Found"), "line 1"),
        (
            lambda folder: [
                write_csv(folder / part, 3, some_samples(), both=True) for part in ("a", "b")
            ],
            "the same kernel as",
        ),
        (
            lambda folder: [
                write_netcdf(folder / f"kernel_{name}.nc", number=3, **some_samples())
                for name in (1, 2)
            ],
            "the same kernel as",
        ),
        (
            lambda folder: [
                write_csv(folder, 1, some_samples()),
                write_csv(folder, 2, other_axis(some_samples())),
            ],
            r"Kernel number2 coords\.csv: other pixel coordinates",
        ),
        (
            lambda folder: [
                write_csv(folder, 1, some_samples()),
                write_csv(folder, 2, some_samples(side=7)),
            ],
            r"Kernel number2 coords\.csv: other pixel coordinates",
        ),
        (
            lambda folder: [
                write_csv(folder, 1, some_samples()),
                write_record(folder, LABELS),
            ],
            "no entry for kernel 1",
        ),
        (
            lambda folder: [
                write_csv(folder, 1, some_samples()),
                (folder / "dataset.json").write_text('{"type": "qpi_kernels.dataset", "kern'),
            ],
            r"dataset\.json: Invalid JSON",
        ),
    ],
)
def test_what_is_no_data_set_is_refused(tmp_path, prepare, reason):
    prepare(tmp_path)
    with pytest.raises(DatasetFormatError, match=reason):
        read_qpi_dataset(tmp_path)


def test_a_path_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_qpi_dataset(tmp_path / "nowhere")


def ring(x_A, y_A):
    """Lopsided waves, band-limited and gone before the kernel's window ends."""
    envelope = np.exp(-(x_A**2 / (2 * 20.0**2) + y_A**2 / (2 * 26.0**2)))
    return envelope * (np.cos(0.1 * x_A + 0.05 * y_A) + 0.02 * (x_A - y_A))


def smooth_samples(axis_A, count=2):
    """Observations as sums of `ring` in continuous coordinates: no kernel image is shifted."""
    x, y = axis_A[None, :], axis_A[:, None]
    points = np.random.default_rng(1).uniform(axis_A[0], axis_A[-1], (count, 5, 2))
    images = [sum(ring(x - px, y - py) for px, py in sample) for sample in points]
    return dict(kernel=ring(x, y), observations=np.array(images), positions_A=points, axis_A=axis_A)


@pytest.mark.parametrize(
    ("axis_A", "centre"),
    [
        (PUBLIC_AXIS, 31.5),
        (np.linspace(-200, 200, 65), 32.0),
        (np.linspace(-190, 200, 63), 190 * 62 / 390),
    ],
)
@pytest.mark.parametrize("write", ["csv", "nc"])
def test_defects_and_kernel_reproduce_the_observations(tmp_path, write, axis_A, centre):
    samples = smooth_samples(axis_A)
    if write == "csv":
        write_csv(tmp_path, 1, samples)
    else:
        write_netcdf(netcdf_path(tmp_path, 1), number=1, **samples)
    dataset = read_qpi_dataset(tmp_path)
    assert_allclose(dataset.attrs["kernel_centre_px"], (centre, centre), rtol=1e-12)
    kernel = torch.from_numpy(dataset.kernel_true[0].values[None].astype(np.float64))
    shape = kernel.shape[-2:]
    for sample in range(2):
        defects = dataset_defects(dataset, 0, sample)
        predicted = ForwardModel(defects, shape, shape).apply(kernel)
        peak = np.abs(samples["observations"][sample]).max()
        # Sub-pixel shifts are good to 1e-4; half a pixel would be wrong by a tenth of the peak.
        assert_allclose(predicted, dataset.observation[0, sample], atol=3e-4 * peak)


def test_the_public_axis_shifts_defects_by_half_a_pixel(tmp_path):
    write_csv(tmp_path, 1, smooth_samples(PUBLIC_AXIS))
    dataset = read_qpi_dataset(tmp_path)
    assert_allclose(dataset_defects(dataset, 0, 1).positions, dataset.position[0, 1] + 0.5)


def literal_activation(values):
    """The published loop, on the numbers that follow an image in its line."""
    grid = np.zeros((64, 64))
    for i in range(0, len(values) - 1, 2):
        x, y = values[i], values[i + 1]
        if -100 <= x <= 100 and -100 <= y <= 100:
            grid_x, grid_y = int((x + 200) / (400 / 64)), int((y + 200) / (400 / 64))
            if 0 <= grid_x < 64 and 0 <= grid_y < 64:
                grid[grid_x][grid_y] = 1
    return grid


def test_the_published_activation_by_hand():
    points = [
        (0.0, 0.0),  # pixel 32 of 0..63 along both axes
        (0.1, 6.2),  # the same pixel: the two become one
        (-0.1, 6.3),  # x in pixel 31, y in pixel 33
        (-100.0, 100.0),  # the edges of the central half count: x 16, y 48
        (-100.1, 0.0),  # outside
        (93.7, -93.8),  # x 46, since 93.75 begins pixel 47; y 16, since -93.75 begins pixel 17
        (np.nan, np.nan),
    ]
    found = binary_activation(np.array(points), PUBLIC_AXIS)
    assert sorted(map(tuple, np.argwhere(found))) == [(16, 46), (32, 32), (33, 31), (48, 16)]
    assert found.dtype == np.float32
    assert found.max() == 1


@pytest.mark.parametrize("write", ["csv", "nc"])
def test_the_published_activation_is_that_of_the_published_loop(tmp_path, write):
    rng = np.random.default_rng(2)
    positions = np.full((40, 20, 2), np.nan)
    for sample in positions:
        sample[: rng.integers(1, 20)] = 200.0
    used = ~np.isnan(positions)
    positions[used] = np.round(rng.uniform(-200, 200, used.sum()), 3)
    # Pixel borders, where the last bit of a coordinate decides.
    positions[:10][used[:10]] = rng.integers(-20, 21, used[:10].sum()) * 6.25
    samples = dict(
        kernel=np.ones((64, 64)),
        observations=np.ones((40, 64, 64)),
        positions_A=positions,
        axis_A=PUBLIC_AXIS,
    )
    if write == "csv":
        write_csv(tmp_path, 1, samples)
    else:
        write_netcdf(netcdf_path(tmp_path, 1), number=1, **samples)
    dataset = read_qpi_dataset(tmp_path)
    for sample in range(40):
        listed = np.where(np.isnan(positions[sample]), 1000.0, positions[sample]).ravel()
        assert_array_equal(
            paper_activation(dataset, 0, sample), literal_activation(listed).T, err_msg=str(sample)
        )


@pytest.mark.parametrize(("half_A", "side"), [(200, 64), (150, 48), (300, 100)])
def test_scatterers_on_pixel_borders_keep_their_pixel(tmp_path, half_A, side):
    axis_A = np.linspace(-half_A, half_A, side)
    border_A = np.arange(side + 1) * 2 * half_A / side - half_A
    points = np.stack([border_A, border_A[::-1]], axis=-1)[:, None]
    images = np.ones((len(points), side, side))
    path = netcdf_path(tmp_path, 1)
    write_netcdf(
        path, number=1, kernel=images[0], observations=images, positions_A=points, axis_A=axis_A
    )
    dataset = read_qpi_dataset(path)
    for sample, expected in enumerate(points):
        found = paper_activation(dataset, 0, sample)
        assert_array_equal(found, binary_activation(expected, axis_A))


def test_the_published_activation_scales_with_the_field_of_view():
    axis_A = np.linspace(-50, 50, 20)
    points = np.array([(0.0, 0.0), (-25.0, 25.0), (4.9, 5.0), (25.1, 0.0)])
    found = binary_activation(points, axis_A)
    assert sorted(map(tuple, np.argwhere(found))) == [(10, 10), (11, 10), (15, 5)]
