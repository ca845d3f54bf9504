"""The accuracy benchmark: run, stopped, gone on with, summed up."""

from __future__ import annotations

import numpy as np
import pytest

from qpi_kernels.bench.accuracy.benchmark import AccuracyBench, AccuracyBenchError
from qpi_kernels.bench.accuracy.kernels import held_out_families
from qpi_kernels.bench.accuracy.parameters import METHODS, AccuracyParameters, Cell
from qpi_kernels.bench.accuracy.plots import write_accuracy_plots
from qpi_kernels.bench.accuracy.report import AccuracyReport
from qpi_kernels.bench.accuracy.scores import CellScores, MethodScores, ProblemScores
from qpi_kernels.bench.accuracy.targets import targets
from qpi_kernels.models.kernel_prior import bundled_prior
from qpi_kernels.progress import drive
from qpi_kernels.simulate.kernel_sampler import KernelSampler
from qpi_kernels.train.prior_fit import PriorFit

# bayes_learned takes long; the command's tests run it.
COMPARED = tuple(method for method in METHODS if method != "bayes_learned")
TINY = AccuracyParameters(
    geometry=("32/16",),
    defects=(8,),
    snr=(10,),
    annotation=("exact",),
    methods=COMPARED,
    seeds=2,
    library_kernels=64,
)


def keep_small_prior(folder) -> None:
    """Put a prior without the families held out where the benchmark keeps its own."""
    seed = bundled_prior().description["seed"]
    library = KernelSampler(shape=(24, 24), seed=seed).without(*held_out_families())
    fit = PriorFit(library, count=64, components=40)
    folder.mkdir()
    drive(fit).save(folder / "held_out_library.safetensors")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A benchmark that was stopped in its second cell and finished by another session."""
    folder = tmp_path_factory.mktemp("accuracy") / "work"
    keep_small_prior(folder)
    first = AccuracyBench(folder, TINY, report_path=folder / "copy.json")
    while not first.report().cells:
        first.step()
    first.step()
    kept = AccuracyReport.model_validate_json((folder / "copy.json").read_text())
    assert not kept.complete
    second = AccuracyBench(folder, TINY)
    assert second.report().cells == kept.cells
    return folder, kept, drive(second)


def test_a_family_is_taken_out_for_its_own_kernels(tmp_path) -> None:
    parameters = TINY.model_copy(update={"families": "each", "methods": ("least_squares",)})
    bench = AccuracyBench(tmp_path, parameters)
    (cell,) = drive(bench).cells
    assert cell.cell.kind == "left-out"
    names = {problem.name for problem in cell.problems}
    assert set(bench._left_out) == names
    for name in names:
        assert set(bench._left_out[name].families) == set(bundled_prior().families) - {name}


def test_methods_are_measured_on_all_problems(measured) -> None:
    _, kept, report = measured
    assert report.complete
    assert report.cells[0] == kept.cells[0]
    assert [one.cell.kind for one in report.cells] == ["known", "held-out"]
    for one in report.cells:
        assert [problem.number for problem in one.problems] == [0, 1]
        for problem in one.problems:
            assert tuple(problem.methods) == COMPARED
            assert problem.methods["tuned_ridge"].coverage is None
            others = [problem.methods[name] for name in COMPARED if name != "tuned_ridge"]
            assert all(0 <= scores.coverage <= 1 for scores in others)
            assert problem.methods["bayes"].prior
            ridge = problem.methods["tuned_ridge"].nrmse
            assert ridge <= 1.001 * problem.methods["least_squares"].nrmse
        assert one.ratios["tuned_ridge"].median == 1
        assert one.ratios["bayes"].median < 0.9
        assert one.limit == pytest.approx(np.median([each.limit for each in one.problems]))
    held_out = report.cells[1]
    assert held_out.ratios["oracle"].median < held_out.ratios["bayes"].median
    names = {problem.name for problem in held_out.problems}
    assert names <= set(held_out_families())


def test_each_kind_has_its_prior(measured) -> None:
    _, _, report = measured
    known, held_out = report.priors["known"], report.priors["held-out"]
    assert known == {**bundled_prior().description, "components": len(bundled_prior().basis)}
    assert held_out["components"] == 40
    assert set(known["families"]) - set(held_out["families"]) == set(held_out_families())


def test_a_report_survives_json(measured) -> None:
    folder, _, report = measured
    assert AccuracyReport.model_validate_json((folder / "accuracy.json").read_text()) == report


def test_another_benchmark_is_refused(measured, tmp_path) -> None:
    folder, _, report = measured
    with pytest.raises(AccuracyBenchError, match="other settings"):
        AccuracyBench(folder, TINY.model_copy(update={"seeds": 3}))
    np.save(tmp_path / "mine.npy", np.random.default_rng(0).standard_normal((2, 20, 20)))
    with pytest.raises(AccuracyBenchError, match="other settings"):
        AccuracyBench(folder, TINY, kernels=tmp_path / "mine.npy")
    (tmp_path / "accuracy.json").write_text("{}")
    with pytest.raises(AccuracyBenchError, match="choose another folder"):
        AccuracyBench(tmp_path, TINY)
    older = report.model_copy(update={"software": "version 0"})
    (tmp_path / "accuracy.json").write_text(older.model_dump_json())
    assert AccuracyBench(tmp_path, TINY).report().earlier == ["version 0"]


def test_pictures(measured, tmp_path) -> None:
    pytest.importorskip("matplotlib")
    made = write_accuracy_plots(measured[2], tmp_path / "plots")
    assert [path.name for path in made] == ["error_ratio.png", "coverage.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in made)


def cell_of(errors: dict[str, float], coverage: float = 0.95, **changes) -> CellScores:
    """A cell of three like problems; methods without a given error have an error of 1."""
    chosen = dict(kind="known", image_px=64, kernel_px=64, defects=20, snr=1.0, annotation="exact")

    def scores(method: str) -> MethodScores:
        return MethodScores(
            nrmse=errors.get(method, 1.0),
            rmse=0.1,
            core_excluded=0.9,
            fourier=0.9,
            coverage=None if method == "tuned_ridge" else coverage,
            seconds=0.1,
        )

    problems = [
        ProblemScores(
            number=number, name="elliptic", limit=None, methods={m: scores(m) for m in METHODS}
        )
        for number in range(3)
    ]
    return CellScores.of(Cell(**{**chosen, **changes}), problems)


def test_targets_are_taken_from_the_right_cells() -> None:
    cells = [
        cell_of({"bayes": 0.1, "two_step": 0.4}),
        cell_of({"bayes": 0.15, "two_step": 0.2}, snr=10.0, coverage=0.9),
        cell_of({"bayes": 0.16, "two_step": 0.4}, snr=10.0, defects=5, coverage=0.96),
        cell_of({"bayes": 0.9, "least_squares": 0.8}, snr=100.0),
        cell_of({"bayes": 1.1}, annotation="jitter-1px", coverage=0.1),
        cell_of({"bayes": 0.5}, kind="held-out", coverage=0.99),
    ]
    made = {one.claim.replace(", SNR <= 10, exact marks", ""): one for one in targets(cells)}
    known = made["bayes / tuned ridge, known families"]
    assert (known.measured, known.cells, known.reached) == (pytest.approx(0.15), 3, True)
    assert known.worst == f"0.160 ({cells[2].cell})"
    held_out = made["bayes / tuned ridge, families held out"]
    assert (held_out.measured, held_out.reached) == (pytest.approx(0.5), False)
    assert made["bayes / two_step, known families"].measured == pytest.approx(0.4)
    worst = made["bayes / least_squares, all cells: the worst"]
    assert (worst.measured, worst.cells, worst.reached) == (pytest.approx(1.125), 6, False)
    covered = made["coverage of bayes's 95 % intervals, known, exact marks"]
    assert (covered.measured, covered.cells, covered.reached) == (pytest.approx(0.95), 4, True)
    assert covered.worst.startswith("0.900")
    assert not made["coverage of bayes's 95 % intervals, held-out, exact marks"].reached
    assert targets([]) == []


def test_few_methods_are_compared_if_asked(tmp_path) -> None:
    chosen = {"methods": ("average",), "families": "known", "seeds": 1}
    report = drive(AccuracyBench(tmp_path / "work", TINY.model_copy(update=chosen)))
    assert report.cells[0].methods == ("average", "tuned_ridge", "bayes")
    assert set(report.cells[0].ratios) == set(report.cells[0].scores) == {*report.cells[0].methods}
    assert not any("two_step" in one.claim or "least" in one.claim for one in report.targets)
    assert len(report.targets) == 2
    pytest.importorskip("matplotlib")
    write_accuracy_plots(report, tmp_path / "plots")


@pytest.mark.slow
def test_the_prior_is_made_on_the_spot_once(tmp_path) -> None:
    parameters = TINY.model_copy(update={"families": "held-out", "seeds": 1})
    bench = AccuracyBench(tmp_path / "work", parameters)
    assert bench.step().message.startswith("Making the prior: Simulating kernels")
    report = drive(bench)
    assert set(report.priors["held-out"]["families"]).isdisjoint(held_out_families())
    (tmp_path / "work" / "accuracy.json").unlink()
    again = AccuracyBench(tmp_path / "work", parameters)
    assert "map 1 of 1" in again.step().message
    same = drive(again).cells[0].problems[0].methods["bayes"].nrmse
    assert same == report.cells[0].problems[0].methods["bayes"].nrmse
