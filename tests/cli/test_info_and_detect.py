"""``napari-qpi info`` and ``detect``: what they say, find and write."""

import numpy as np
import pytest

from qpi_kernels.defects import Defects


def offsets(table, spots):
    away = np.hypot(*(table.positions[None] - spots[:, None]).transpose(2, 0, 1))
    return away.min(axis=1)


def test_info_names_channels_size_and_units(run_command, write_map):
    done = run_command("info", write_map("map.gsf"))
    assert done.exit_code == 0
    for words in ("Gwyddion .gsf", "96 rows x 96 columns", "48 x 48 nm", "nm"):
        assert words in done.stdout


def test_info_tells_the_bias_range(run_command, write_stack):
    done = run_command("info", write_stack())
    assert done.exit_code == 0
    assert "5 from -0.2 to 0.2 V" in done.stdout


def test_info_of_many_goes_past_the_bad_one(run_command, write_map, tmp_path):
    bad = tmp_path / "bad.sxm"
    bad.write_bytes(b":NANONIS_VERSION:\n2\n")
    done = run_command("info", write_map("a.npy"), bad, write_map("b.npy"))
    assert done.exit_code == 1
    assert "2 of 3 files done" in done.stdout
    assert "bad.sxm: not readable as Nanonis .sxm" in done.stderr
    assert "Traceback" not in done.output


def test_detect_writes_what_it_finds(run_command, write_map, spots, tmp_path):
    done = run_command("detect", write_map(), "-o", tmp_path / "found.csv")
    assert done.exit_code == 0, done.output
    assert "4 defects" in done.stdout
    found = Defects.from_csv(tmp_path / "found.csv")
    assert len(found) == 4
    assert offsets(found, spots).max() < 0.7


def test_detect_snaps_when_asked(run_command, write_map, spots, tmp_path):
    run_command("detect", write_map(), "--snap", "-o", tmp_path / "found.csv")
    assert offsets(Defects.from_csv(tmp_path / "found.csv"), spots).max() < 0.3


def test_detect_takes_polarity_kind_mask_and_count(run_command, write_map, tmp_path):
    mask = tmp_path / "mask.npy"
    np.save(mask, np.arange(96)[:, None] * np.ones(96) < 60)
    done = run_command(
        *("detect", write_map(sign=-1.0), "--polarity", "dark", "--kind", "CO", "--mask", mask),
        *("--max-count", "2", "-o", tmp_path / "found.csv"),
    )
    assert done.exit_code == 0, done.output
    found = Defects.from_csv(tmp_path / "found.csv")
    assert found.counts() == {"CO": 2}
    assert (found.positions[:, 0] < 60).all()


def test_detect_searches_the_clearest_plane_of_a_stack(run_command, write_stack, tmp_path):
    assert run_command("detect", write_stack()).exit_code == 0
    assert len(Defects.from_csv(tmp_path / "stack_defects.csv")) == 4
    clear = Defects.from_csv(tmp_path / "stack_defects.csv")
    run_command("detect", write_stack(), "--bias", "0.1", "-o", tmp_path / "same.csv")
    assert Defects.from_csv(tmp_path / "same.csv") == clear


def test_folders_globs_and_recursion(run_command, write_map, tmp_path):
    for name in ("scans/a.npy", "scans/b.gsf", "scans/deeper/c.npy"):
        write_map(name)
    (tmp_path / "scans/notes.txt").write_text("not a scan")
    flat = run_command("detect", tmp_path / "scans", "-o", tmp_path / "flat")
    assert flat.exit_code == 0, flat.output
    assert {p.name for p in (tmp_path / "flat").iterdir()} == {"a_defects.csv", "b_defects.csv"}
    deep = run_command("detect", "-r", tmp_path / "scans", "-o", tmp_path / "deep")
    assert deep.exit_code == 0
    assert len(list((tmp_path / "deep").iterdir())) == 3
    pattern = run_command("detect", tmp_path / "scans/**/*.npy", "-o", tmp_path / "glob")
    assert pattern.exit_code == 0
    assert len(list((tmp_path / "glob").iterdir())) == 2


def test_names_that_would_collide_do_not(run_command, write_map, tmp_path):
    for name in ("one/map.npy", "two/map.npy", "two/map.gsf"):
        write_map(name)
    done = run_command("detect", "-r", tmp_path / "one", tmp_path / "two", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "out").glob("*.csv"))) == 3


def test_nothing_is_overwritten_unasked(run_command, write_map, tmp_path):
    target = tmp_path / "found.csv"
    target.write_text("mine")
    refused = run_command("detect", write_map(), "-o", target)
    assert refused.exit_code == 1
    assert "--overwrite" in refused.stderr
    assert target.read_text() == "mine"
    assert run_command("detect", write_map(), "-o", target, "--overwrite").exit_code == 0
    assert len(Defects.from_csv(target)) == 4


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--channel", "nothing"], "choose one of data"),
        (["--bias", "0.1"], "--bias chooses planes"),
        (["--mask", "none.npy"], "none.npy"),
        (["--threshold", "1000"], "no defect stands out"),
    ],
)
def test_failures_are_one_line(run_command, write_map, words, reason):
    done = run_command("detect", write_map(), *words)
    assert done.exit_code == 1
    assert reason in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("napari-qpi: ")


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["--threshold", "-1"], "--threshold"),
        (["--size-px", "huge"], "--size-px"),
        (["--polarity", "grey"], "--polarity"),
    ],
)
def test_values_out_of_range_are_usage_errors(run_command, write_map, words, option):
    done = run_command("detect", write_map(), *words)
    assert done.exit_code == 2
    assert option in done.stderr


def test_missing_files_and_empty_folders(run_command, tmp_path):
    missing = run_command("detect", tmp_path / "none.sxm")
    assert missing.exit_code == 1
    assert "none.sxm" in missing.stderr
    (tmp_path / "empty").mkdir()
    assert "no files" in run_command("detect", tmp_path / "empty").stderr


def test_one_file_name_for_many_is_refused(run_command, write_map, tmp_path):
    done = run_command("detect", write_map("a.npy"), write_map("b.npy"), "-o", tmp_path / "x.csv")
    assert done.exit_code == 1
    assert "-o a folder" in done.stderr


def test_help_tells_units_ranges_and_defaults(run_command):
    from qpi_kernels.defects import DetectionParameters

    text = " ".join(run_command("detect", "--help").stdout.split())
    assert "in px, default auto" in text
    assert "in sigma, above 0, default 6.0" in text
    assert "at least 0, at most 1, default 0.5" in text
    for name in DetectionParameters.model_fields:
        assert f"--{name.replace('_', '-')}" in text
