"""The benchmark of blind extraction: its report, and its command."""

import pytest
from typer.testing import CliRunner

from qpi_kernels.bench.blind.benchmark import BlindBench
from qpi_kernels.bench.blind.report import BlindReport, BlindRow
from qpi_kernels.cli.application import app
from qpi_kernels.progress import drive


def row(**changed):
    values = {
        "group": "pairs", "name": "seed 0", "true_kinds": 2, "found_kinds": 2, "true_defects": 16,
        "found_defects": 16, "false_defects": 0, "correlation": 0.99, "seconds": 2.0,
    }  # fmt: skip
    return BlindRow.model_validate(values | changed)


def test_a_group_is_summed_up_in_a_line():
    rows = [row(), row(found_kinds=1, found_defects=9, false_defects=1, correlation=0.5)]
    report = BlindReport(machine={}, quick=True, rows=[*rows, row(group="dense")])
    heads, pairs, dense = report.table()
    assert len(heads) == len(pairs) == len(dense)
    assert pairs == [
        "pairs", "2", "1 of 2", "25 / 32", "4.0%", "0.500, median 0.745", "2.0 to 2.0"
    ]  # fmt: skip


def test_an_unknown_group_is_refused():
    result = CliRunner().invoke(app, ["bench", "blind", "--only", "sparse"])
    assert result.exit_code != 0
    assert "no group 'sparse'" in result.output


@pytest.mark.slow
def test_turned_maps_are_turned_with_their_truth(tmp_path):
    path = tmp_path / "blind.json"
    report = drive(BlindBench(["turned"], quick=True, report_path=path))
    assert len(report.rows) == 8
    assert {row.found_defects for row in report.rows} == {16}
    assert not any(row.false_defects for row in report.rows)
    assert min(row.correlation for row in report.rows) > 0.9
    assert BlindReport.model_validate_json(path.read_text()) == report
