"""``napari-qpi extract``, ``demo`` and ``bench``, and the program as a process."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from qpi_kernels.defects import Defects
from qpi_kernels.result import KernelResult
from shared.toy_estimator import registered_toy

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-c", "from qpi_kernels.cli import main; main()"]


def environment():
    paths = [str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "COLUMNS": "200"}


@pytest.fixture
def table(spots, tmp_path):
    Defects(spots).to_csv(tmp_path / "table.csv")
    return tmp_path / "table.csv"


def test_three_words_give_a_kernel(run_command, write_map, table, tmp_path):
    done = run_command(
        *("extract", write_map("map.gsf"), "--defects", table, "--kernel-size", "17"),
        *("--method", "least_squares", "-o", tmp_path / "kernel.nc"),
        *("--json", tmp_path / "report.json"),
    )
    assert done.exit_code == 0, done.output
    result = KernelResult.load(tmp_path / "kernel.nc")
    assert result.kernel.shape == (17, 17)
    assert result.kernel.values.argmax() == result.kernel.size // 2
    assert result.kernel.attrs["units"] == "nm"
    (entry,) = json.loads((tmp_path / "report.json").read_text())["files"]
    assert entry["status"] == "done"
    assert entry["defects"] == {"defect": 4}
    assert entry["quality"]["converged"] is True
    assert entry["provenance"]["parameters"]["kernel_shape"] == [17, 17]


@pytest.mark.parametrize("prepare", [(), ("--prepare", "suggest")])
def test_an_undetermined_kernel_of_a_raw_topograph_points_to_its_preparation(
    run_command, write_map, tmp_path, prepare
):
    Defects([[10.0, 70.0], [60.0, 40.0], [80.0, 80.0]]).to_csv(tmp_path / "nowhere.csv")
    done = run_command(
        *("extract", write_map("map.gsf"), "--defects", tmp_path / "nowhere.csv"),
        *("--kernel-size", "5", "--method", "least_squares", "-o", tmp_path / "k.nc", *prepare),
    )
    assert "Undetermined" in done.output
    assert ("--prepare suggest" in done.output) == (not prepare)


def test_parameters_reach_the_estimator(run_command, write_map, table, tmp_path):
    target = tmp_path / "kernel.nc"
    done = run_command(
        *("extract", write_map(), "--defects", table, "--kernel-size", "11x15", "--ridge", "0.5"),
        *("--method", "least_squares", "--background", "offset", "--symmetry", "C2", "-o", target),
    )
    assert done.exit_code == 0, done.output
    result = KernelResult.load(target)
    assert result.kernel.shape == (11, 15)
    parameters = result.provenance["parameters"]
    assert parameters["method"] == "least_squares"
    assert parameters["background"] == "offset"
    assert parameters["ridge"] == 0.5
    assert parameters["symmetry"] == "C2"


def test_blind_needs_no_defects_and_takes_none(run_command, write_map, table, tmp_path):
    words = ("extract", write_map("map.gsf"), "--kernel-size", "15", "--method", "blind")
    refused = run_command(*words, "--defects", table, "-o", tmp_path / "kernel.nc")
    assert refused.exit_code == 1
    assert "blind finds the defects" in refused.output
    done = run_command(*words, "-o", tmp_path / "kernel.nc")
    assert done.exit_code == 0, done.output
    found = KernelResult.load(tmp_path / "kernel.nc").defects.positions
    true = Defects.from_csv(table).positions
    nearest = np.linalg.norm(true[:, None] - found, axis=-1).min(axis=1)
    assert (nearest < 1.0).all()


def test_detection_can_come_first(run_command, write_map, tmp_path):
    done = run_command(
        *("extract", write_map(), "--detect", "--snap", "--polarity", "bright"),
        *("--kernel-size", "17", "-o", tmp_path / "kernel.nc"),
    )
    assert done.exit_code == 0, done.output
    assert len(KernelResult.load(tmp_path / "kernel.nc").defects) == 4


def test_masked_pixels_change_nothing(run_command, write_map, table, tmp_path):
    """What lies under the mask, even a spot to which clicks would snap, does not count."""
    mask = np.ones((96, 96), bool)
    mask[40:62] = False
    np.save(tmp_path / "mask.npy", mask)
    clean = write_map("clean.npy")
    image = np.load(clean)
    rows, cols = np.mgrid[:96, :96]
    spoilt = image + 50 * np.exp(-((rows - 52) ** 2 + (cols - 58) ** 2) / 16) * ~mask
    np.save(tmp_path / "spoilt.npy", spoilt.astype("f4"))
    results = []
    for name in ("clean", "spoilt"):
        done = run_command(
            *("extract", tmp_path / f"{name}.npy", "--defects", table, "--snap"),
            *("--mask", tmp_path / "mask.npy", "--kernel-size", "17", "--method", "least_squares"),
            *("-o", tmp_path / f"{name}.nc"),
        )
        assert done.exit_code == 0, done.output
        results.append(KernelResult.load(tmp_path / f"{name}.nc"))
    assert results[1].provenance["counted_pixels"] == mask.sum()
    np.testing.assert_allclose(results[1].defects.positions, results[0].defects.positions)
    np.testing.assert_allclose(results[1].kernel, results[0].kernel, atol=1e-6)


def test_tables_beside_the_files_are_used(run_command, write_map, tmp_path):
    maps = [write_map("a.npy", seed=1), write_map("b.npy", seed=2)]
    assert run_command("detect", *maps).exit_code == 0
    done = run_command("extract", *maps, "--kernel-size", "17", "--method", "least_squares")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "a_kernel.nc").exists()
    assert (tmp_path / "b_kernel.nc").exists()


def test_a_batch_goes_past_its_bad_files(run_command, write_map, table, tmp_path):
    folder = tmp_path / "scans"
    write_map("scans/a.npy")
    (folder / "broken.3ds").write_bytes(b'Grid dim="9 x 9"\n')
    np.save(folder / "z.npy", np.zeros(5))
    done = run_command(
        *("extract", folder, "--defects", table, "--kernel-size", "17", "-o", tmp_path / "out"),
        *("--method", "least_squares"),
        *("--json", tmp_path / "report.json"),
    )
    assert done.exit_code == 1
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a_kernel.nc"]
    assert "1 of 3 files done" in done.stdout
    entries = json.loads((tmp_path / "report.json").read_text())["files"]
    assert [entry["status"] for entry in entries] == ["done", "failed", "failed"]
    assert "broken.3ds" in entries[1]["error"]


@pytest.mark.parametrize(
    ("bias", "planes"),
    [("0.1", None), ("-0.1:0.1", 3), (":0", 3), ("-0.2,0.1:", 3), ("0.2:-0.1", 4)],
)
def test_bias_chooses_planes(run_command, write_stack, table, tmp_path, bias, planes):
    done = run_command(
        *("extract", write_stack(), "--defects", table, "--kernel-size", "9"),
        *("--method", "least_squares", "--bias", bias, "-o", tmp_path / "kernel.nc"),
    )
    assert done.exit_code == 0, done.output
    kernel = KernelResult.load(tmp_path / "kernel.nc").kernel
    assert kernel.sizes.get("bias") == planes
    if planes is None:
        assert float(kernel["bias"]) == pytest.approx(0.1)


@pytest.mark.parametrize("words", ["1:2", "none", "0.1:x"])
def test_a_bias_that_is_not_there_is_told(run_command, write_stack, table, words):
    done = run_command("extract", write_stack(), "--defects", table, "--bias", words)
    assert done.exit_code == 1
    assert "V" in done.stderr or "volts" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("extension", ["tif", "gwy", "npz"])
def test_other_formats_and_kinds(run_command, write_map, spots, tmp_path, extension):
    Defects(spots, ["a", "a", "b", "b"]).to_csv(tmp_path / "kinds.csv")
    target = tmp_path / f"kernel.{extension}"
    done = run_command(
        *("extract", write_map("map.gsf"), "--defects", tmp_path / "kinds.csv"),
        *("--kernel-size", "9", "--method", "least_squares", "-o", target),
    )
    assert done.exit_code == 0, done.output
    from qpi_kernels.io import main_channel, open_scan

    for kind in "ab":
        kernel = main_channel(open_scan(tmp_path / f"kernel_{kind}.{extension}"))
        assert kernel.shape[-2:] == (9, 9)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "give --defects FILE or --detect"),
        (["--defects", "nothing.csv"], "nothing.csv"),
        (["--detect", "-o", "kernel.bmp"], ".gwy"),
        (["--detect", "--symmetry", "C7"], "--symmetry"),
        (["--detect", "--kernel-size", "2"], "--kernel-size"),
        (["--detect", "--kernel-size", "a"], "--kernel-size"),
    ],
)
def test_what_can_not_be_done_is_told(run_command, write_map, words, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run_command("extract", write_map(), *words)
    assert done.exit_code in (1, 2)
    assert reason in done.stderr
    assert "Traceback" not in done.output


def test_defects_and_detect_exclude_each_other(run_command, write_map, table):
    done = run_command("extract", write_map(), "--defects", table, "--detect")
    assert done.exit_code == 1
    assert "not both" in done.stderr


def test_a_kernel_is_not_taken_for_a_scan(run_command, write_map, table, tmp_path):
    write_map("scans/a.npy")
    first = ("extract", tmp_path / "scans", "--defects", table, "--kernel-size", "9")
    first = (*first, "--method", "least_squares")
    assert run_command(*first).exit_code == 0
    again = run_command(*first, "--overwrite")
    assert again.exit_code == 0
    assert sorted(p.name for p in (tmp_path / "scans").iterdir()) == ["a.npy", "a_kernel.nc"]
    told = run_command("info", tmp_path / "scans/a_kernel.nc")
    assert told.exit_code == 0
    assert "4 defect" in told.stdout


def test_demo_runs_without_a_display(run_command, tmp_path):
    done = run_command("demo", "--headless", "-o", tmp_path / "demo")
    assert done.exit_code == 0, done.output
    assert "correlation" in done.stdout
    result = KernelResult.load(tmp_path / "demo/kernel.nc")
    assert result.kernel.shape == (65, 65)
    assert len(Defects.from_csv(tmp_path / "demo/defects.csv")) == len(result.defects)
    assert (tmp_path / "demo/summary.txt").read_text() in done.stdout


def test_help_and_info_start_without_torch(write_map):
    probe = (
        "import sys\n"
        "from qpi_kernels.cli import main\n"
        "try:\n    main()\n"
        "finally:\n"
        "    heavy = {'torch', 'skimage', 'napari'} & set(sys.modules)\n"
        "    print('HEAVY', sorted(heavy))\n"
    )
    for words in (["--help"], ["extract", "--help"], ["info", str(write_map())]):
        done = subprocess.run(
            [sys.executable, "-c", probe, *words],
            env=environment(), capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "HEAVY []" in done.stdout


def test_the_program_fails_in_one_line(tmp_path):
    bad = tmp_path / "bad.dat"
    bad.write_bytes(b"\0" * 100)
    done = subprocess.run(
        [*PROGRAM, "extract", str(bad), "--detect"],
        env=environment(), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert "bad.dat" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_stops_cleanly(tmp_path):
    image = np.random.default_rng(0).normal(size=(60, 256, 256)).astype("f4")
    np.savez(tmp_path / "big.npz", data=image, bias=np.linspace(0, 1, 60))
    Defects(np.random.default_rng(1).uniform(0, 255, (40, 2))).to_csv(tmp_path / "d.csv")
    words = ["extract", "big.npz", "--defects", "d.csv", "-o", "kernel.nc", "--tolerance", "1e-14"]
    words += ["--method", "least_squares"]
    words += ["--ridge", "0", "--max-iterations", "5000", "--kernel-size", "180"]
    running = subprocess.Popen(
        [*PROGRAM, *words], env=environment(), cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    time.sleep(10)
    assert running.poll() is None
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "cancelled; 0 of 1 files were done" in said
    assert "Traceback" not in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["big.npz", "d.csv"]


def test_the_help_says_what_a_number_or_a_word_may_be(run_command):
    shown = run_command("extract", "--help").stdout
    assert "--kinds INTEGER|auto" in shown
    assert "--ridge NUMBER|auto" in shown


def test_a_registered_estimator_is_in_the_help_and_runs(run_command, write_map, table, tmp_path):
    target = tmp_path / "toy.nc"
    words = ("extract", write_map(), "--defects", table, "--kernel-size", "9", "-o", target)
    with registered_toy():
        shown = run_command("extract", "--help").stdout
        done = run_command(*words, "--method", "toy", "--wobble", "0.25")
        wrong = run_command(*words, "--method", "average", "--wobble", "0.25")
    assert "--wobble NUMBER" in shown
    assert "blind|toy" in shown
    assert done.exit_code == 0, done.output
    assert KernelResult.load(target).provenance["parameters"]["wobble"] == 0.25
    assert wrong.exit_code == 2
    assert "wobble is a field of toy, not of average" in wrong.stderr
    assert "wobble" not in run_command("extract", "--help").stdout


def test_an_option_of_another_method_is_refused(run_command, write_map, table):
    done = run_command("extract", write_map(), "--defects", table, "--ridge", "1")
    assert done.exit_code == 2
    assert "ridge is a field of least_squares, not of bayes" in done.stderr
