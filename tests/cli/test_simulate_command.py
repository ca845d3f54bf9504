"""``napari-qpi simulate``: a map with its truth, and what stands in the way."""

import numpy as np
import pytest

from qpi_kernels.cli.batch import FileTask
from qpi_kernels.cli.simulate import write_dataset
from qpi_kernels.defects import Defects
from qpi_kernels.io import open_scan
from qpi_kernels.progress import Cancelled, CancelToken
from qpi_kernels.result import KernelResult
from qpi_kernels.simulate import ProtocolParameters, read_qpi_dataset
from qpi_kernels.simulate.scan.simulation import SimulatedScanParameters, simulate_scan

QUICK = ("--image-size", "48x64", "--kernel-size", "17", "--density", "5")


def test_a_map_can_be_extracted_at_once(run_command, tmp_path):
    target = tmp_path / "new" / "map.nc"
    done = run_command("simulate", "-o", target, *QUICK)
    assert done.exit_code == 0, done.output
    assert "Ag(111), 14 defects" in done.stdout
    scan = open_scan(target)
    assert scan["didv"].shape == (48, 64)
    table = Defects.from_csv(tmp_path / "new" / "map_defects.csv")
    np.testing.assert_allclose(table.positions, scan["defect_position"])
    done = run_command("extract", target, "--kernel-size", "17", "--method", "least_squares")
    assert done.exit_code == 0, done.output
    kernel = KernelResult.load(tmp_path / "new" / "map_kernel.nc").kernel.values
    assert np.corrcoef(kernel.ravel(), scan["kernel_true"].values.ravel())[0, 1] > 0.9


def test_options_are_those_of_the_library(run_command, tmp_path):
    target = tmp_path / "stack.nc"
    done = run_command(
        *("simulate", "-o", target, *QUICK, "--material", "Be", "--biases", "3"),
        *("--bias", "-0.1", "--last-bias", "0.2", "--impurity", "phase_shift"),
        *("--phase-deg", "40", "--noise", "0.3", "--artefacts", "typical", "--seed", "3"),
    )
    assert done.exit_code == 0, done.output
    expected = simulate_scan(
        SimulatedScanParameters(
            material="Be", image_shape=(48, 64), kernel_shape=(17, 17), density=5, biases=3,
            bias=-0.1, last_bias=0.2, impurity="phase_shift", phase_deg=40, noise=0.3,
            artefacts="typical", seed=3,
        )
    )  # fmt: skip
    scan = open_scan(target)
    np.testing.assert_allclose(scan["didv"], expected.observation, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(scan["bias"], [-0.1, 0.05, 0.2])


@pytest.mark.parametrize("present", ["map.nc", "map_defects.csv"])
def test_files_are_not_replaced_unasked(run_command, tmp_path, present):
    (tmp_path / present).write_text("precious")
    done = run_command("simulate", "-o", tmp_path / "map.nc", *QUICK)
    assert done.exit_code == 1
    assert "--overwrite" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [present]
    assert (tmp_path / present).read_text() == "precious"
    done = run_command("simulate", "-o", tmp_path / "map.nc", *QUICK, "--overwrite")
    assert done.exit_code == 0, done.output
    assert open_scan(tmp_path / "map.nc")["didv"].shape == (48, 64)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--material", "gold"), "'Au111'"),
        (("--impurity", "magnetic"), "no impurity for Ag(111)"),
        (("--density", "many"), "--density"),
        (("--broadening", "0"), "greater than 0"),
    ],
)
def test_a_wrong_option_is_a_usage_error(run_command, tmp_path, words, said):
    done = run_command("simulate", "-o", tmp_path / "map.nc", *words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert not list(tmp_path.iterdir())


def test_what_can_not_be_simulated_is_one_line(run_command, tmp_path):
    done = run_command("simulate", "-o", tmp_path / "map.nc", "--broadening", "1e-6")
    assert done.exit_code == 1
    assert "raise the broadening" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_only_netcdf_is_written(run_command, tmp_path):
    done = run_command("simulate", "-o", tmp_path / "map.tif", *QUICK)
    assert done.exit_code == 1
    assert ".nc" in done.stderr
    assert not list(tmp_path.iterdir())


FEW = ("--protocol", "paper", "--kernels", "2", "--observations", "3")


def test_a_data_set_is_written_and_completed(run_command, tmp_path):
    done = run_command("simulate", "-o", tmp_path, *FEW)
    assert done.exit_code == 0, done.output
    assert "2 kernels, 6 observations" in done.stdout
    dataset = read_qpi_dataset(tmp_path)
    assert dataset["observation"].shape == (2, 3, 64, 64)
    csv = read_qpi_dataset(tmp_path / "64X64 vp coords")
    assert list(csv["family"].values) == list(dataset["family"].values)
    assert all("band" in text for text in csv["parameters"].values)
    (tmp_path / "kernel_002.nc").unlink()
    done = run_command("simulate", "-o", tmp_path, *FEW)
    assert done.exit_code == 0, done.output
    assert read_qpi_dataset(tmp_path).identical(dataset)


def test_a_data_set_of_others_is_left_alone(run_command, tmp_path):
    folder = tmp_path / "64X64 vp coords"
    folder.mkdir()
    (folder / "Kernel number1 coords.csv").write_text("precious")
    done = run_command("simulate", "-o", tmp_path, *FEW)
    assert done.exit_code == 1
    assert "choose another folder" in done.stderr
    assert (folder / "Kernel number1 coords.csv").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_other_parameters_are_named(run_command, tmp_path):
    run_command("simulate", "-o", tmp_path, *FEW)
    done = run_command("simulate", "-o", tmp_path, *FEW, "--seed", "3")
    assert done.exit_code == 1
    assert "seed 0, not 3" in done.stderr


def test_pixels_that_can_not_show_the_waves_are_refused(run_command, tmp_path):
    target = tmp_path / "map.nc"
    done = run_command("simulate", "-o", target, "--material", "Cu111", "--pixel-nm", "1.0")
    assert done.exit_code == 1
    assert "finer than the pixels show" in done.stderr
    assert not target.exists()


@pytest.mark.parametrize(
    "options", [("--kernels", "3"), ("--protocol", "paper", "--material", "Cu111")]
)
def test_options_that_would_not_count_are_refused(run_command, tmp_path, options):
    done = run_command("simulate", "-o", tmp_path / "out.nc", *options)
    assert done.exit_code == 2
    assert "--protocol" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_stopped_data_set_says_how_to_go_on(tmp_path):
    token = CancelToken()

    def stop_after_the_first(event):
        if event.step == 1:
            token.cancel()

    parameters = ProtocolParameters(kernels=3, observations=2, layout="netcdf")
    with pytest.raises(Cancelled, match="1 of 3 kernels are written; the same command goes on"):
        write_dataset(parameters, FileTask(tmp_path, stop_after_the_first, token))
    write_dataset(parameters, FileTask(tmp_path, print, CancelToken()))
    assert read_qpi_dataset(tmp_path).sizes["kernel"] == 3
