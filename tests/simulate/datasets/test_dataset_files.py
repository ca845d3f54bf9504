"""Whole data sets: either format, labels, noisy partners and lazy images."""

import json

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from qpi_kernels.simulate.datasets.labels import KernelLabels, published_fold, write_record
from qpi_kernels.simulate.datasets.netcdf_layout import netcdf_path, write_netcdf
from qpi_kernels.simulate.datasets.observations import (
    dataset_defects,
)
from qpi_kernels.simulate.datasets.public_layout import (
    DatasetFormatError,
    public_csv_path,
)
from qpi_kernels.simulate.datasets.read_dataset import read_qpi_dataset
from shared.public_dataset import write_csv


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
