"""``napari-qpi report`` and ``figure`` on saved results."""

from __future__ import annotations

import re

import pytest

from shared.results import planted_result


@pytest.fixture
def results(tmp_path):
    """Save two results and something else in a folder."""
    folder = tmp_path / "made"
    folder.mkdir()
    planted_result(trust="good").save(folder / "one_kernel.nc")
    planted_result(trust="undetermined").save(folder / "two <b>.nc")
    (folder / "notes.nc").write_bytes(b"no NetCDF")
    return folder


def test_a_folder_of_results_gets_an_index(run_command, results, tmp_path):
    done = run_command("report", str(results), "-o", str(tmp_path / "site"))
    assert done.exit_code == 0, done.output
    made = sorted(path.name for path in (tmp_path / "site").iterdir())
    assert made == ["index.html", "one_kernel_report.html", "two <b>_report.html"]
    index = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "2 results: 1 good, 0 uncertain, 1 undetermined." in index
    assert '<table class="sortable index">' in index
    links = re.findall(r'<td[^>]*><a href="([^"]+)"', index)
    assert links == ["one_kernel_report.html", "two%20%3Cb%3E_report.html"]
    assert "two &lt;b&gt;" in index
    assert "two <b>" not in index
    assert index.count('<img src="data:image/png;base64,') == 2
    again = run_command("report", str(results), "-o", str(tmp_path / "site"))
    assert again.exit_code == 1
    assert "--overwrite" in again.output


@pytest.mark.slow
def test_one_report_goes_beside_its_result_or_where_it_is_sent(run_command, results, tmp_path):
    one = results / "one_kernel.nc"
    assert run_command("report", str(one), "--pdf").exit_code == 0
    assert (results / "one_kernel_report.pdf").read_bytes().startswith(b"%PDF")
    assert run_command("report", str(one), "-o", str(tmp_path / "r.html")).exit_code == 0
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "one_kernel.nc" in page
    clash = run_command("report", str(one), "--pdf", "-o", str(tmp_path / "r.html"))
    assert clash.exit_code == 1
    assert "leave out --pdf" in clash.output


def test_what_is_no_result_is_told(run_command, results, tmp_path):
    done = run_command("report", str(results / "notes.nc"))
    assert done.exit_code == 1
    assert "notes.nc" in done.output
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no results of extract" in run_command("report", str(empty)).output


def test_a_figure_is_drawn_with_its_numbers(run_command, results, tmp_path):
    one = str(results / "one_kernel.nc")
    done = run_command("figure", "kernel", one, "-o", str(tmp_path / "k.svg"), "--width", "60")
    assert done.exit_code == 0, done.output
    assert 'width="170.' in (tmp_path / "k.svg").read_text()
    assert (tmp_path / "k.csv").read_text().startswith("# figure: Kernel\n")
    assert "there are" in run_command("figure", "kernals", one).output
    assert "the kind of figure comes first" in run_command("figure", one).output
    assert "name a kind of figure" in run_command("figure").output
    assert "single, double or mm" in run_command("figure", "kernel", one, "--width", "wide").output
    assert "over bias" in run_command("figure", "spectrum", one).output
    assert "kernel: the kernel in real space" in run_command("figure", "--list").output
