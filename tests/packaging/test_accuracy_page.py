"""docs/accuracy_page.py puts the numbers of reports into the tables of docs/accuracy.md."""

from __future__ import annotations

import runpy
from pathlib import Path

from qpi_kernels.bench.accuracy.parameters import AccuracyParameters, MethodName
from qpi_kernels.bench.accuracy.report import AccuracyReport, AccuracySettings
from qpi_kernels.bench.accuracy.scores import CellScores, MethodScores, ProblemScores
from qpi_kernels.bench.accuracy.targets import targets

DOCS = Path(__file__).parents[2] / "docs"
SCRIPT = runpy.run_path(str(DOCS / "accuracy_page.py"))
PAGE = (DOCS / "accuracy.md").read_text(encoding="utf-8")


def report(errors: dict[MethodName, float], **chosen: object) -> AccuracyReport:
    """Make a report of two maps a cell, with the same errors in every cell."""
    parameters = AccuracyParameters.model_validate(chosen | {"seeds": 2})
    made = []
    for cell in parameters.cells(parameters.kinds):
        problems = [
            ProblemScores(
                number=number,
                name="trimer",
                limit=0.123,
                methods={
                    method: MethodScores(
                        nrmse=error * (1 + number),
                        rmse=0.1,
                        core_excluded=0.9,
                        fourier=0.9,
                        coverage=0.9 + 0.04 * number,
                        seconds=1.0,
                    )
                    for method, error in errors.items()
                },
            )
            for number in parameters.numbers
        ]
        made.append(CellScores.of(cell, problems))
    settings = AccuracySettings(
        numbers=list(parameters.numbers),
        cells=parameters.cells(parameters.kinds),
        methods=list(errors),
        prior_kernels=64,
        test_seed=1,
        own_kernels="",
        quick=False,
    )
    return AccuracyReport(
        settings=settings,
        cells=made,
        targets=targets(made),
        priors={},
        software="this code",
        versions={},
        machine="a machine",
    )


ERRORS: dict[MethodName, float] = {
    "least_squares": 0.41,
    "tuned_ridge": 0.4,
    "bayes_smooth": 0.2,
    "bayes": 0.1,
    "oracle": 0.1,
    "two_step": 0.3,
}


def table(page: str, name: str) -> list[list[str]]:
    """Read the rows of a table between its marks, without the head."""
    lines = page.split(f"<!-- {name}: begin -->\n")[1].split(f"<!-- {name}: end -->")[0]
    return [[entry.strip() for entry in one.split("|")[1:-1]] for one in lines.splitlines()[2:]]


def test_every_cell_has_its_row_and_learned_stands_where_it_was_measured() -> None:
    exact = report(ERRORS, annotation=["exact"])
    some = report(ERRORS | {"bayes_learned": 0.14}, annotation=["exact"], defects=[20])
    marks = report(ERRORS, families="known", defects=[20], annotation=["jitter-1px"])
    page = SCRIPT["with_tables"](PAGE, exact, some, marks)
    for name in ("known", "held out"):
        rows = table(page, name)
        assert len(rows) == 27
        expected = ["0.123", "0.600", "1.02", "0.50", "**0.25** (0.25 … 0.25)"]
        assert [[*one[3:7], one[8]] for one in rows] == [expected] * 27
        assert {one[7] for one in rows if one[1] == "20"} == {"0.35"}
        assert {one[7] for one in rows if one[1] != "20"} == {""}
        assert {one[11] for one in rows} == {"92.0 %"}
    assert [one[:3] for one in table(page, "marks")[::4]] == [
        ["64/64", "1", "jitter 1 px"],
        ["128/32", "10", "jitter 1 px"],
        ["256/64", "100", "jitter 1 px"],
    ]
    verdicts = [one[1:3] for one in table(page, "aims")]
    assert ["0.25", "missed"] in verdicts
    assert ["92.0 %", "missed"] in verdicts
    # The rest of the page stays.
    assert page.split("### One family left out")[1][:2000] in PAGE


def test_summaries_name_the_cells_in_which_bayes_does_not_halve_the_error_of_two_step() -> None:
    exact = report(ERRORS | {"two_step": 0.15}, annotation=["exact"], defects=[5])
    lines = list(SCRIPT["summary"](exact))
    assert any(line.startswith("known: bayes over two_step 0.67") for line in lines)
    assert sum("256/64 px, 5 defects" in line for line in lines if "above 0.5" in line) == 2
