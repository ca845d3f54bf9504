"""The benchmark's plan and numbers: what is compared, and what a difference is worth."""

from __future__ import annotations

import numpy as np
import pytest

from qpi_kernels.bench.paper.benchmark import PaperBench
from qpi_kernels.bench.paper.checkpoint import PaperBenchError, claim_folder
from qpi_kernels.bench.paper.data import PaperData
from qpi_kernels.bench.paper.experiments import (
    BUNDLED,
    COMPARISONS,
    HUB,
    MODELS,
    ROWS,
    stages_behind,
)
from qpi_kernels.bench.paper.latents import flattened, neighbours, plane
from qpi_kernels.bench.paper.parameters import PaperParameters
from qpi_kernels.bench.paper.plots import PaperPictures, write_plots
from qpi_kernels.bench.paper.report import PaperComparison, PaperReport, PaperRow
from qpi_kernels.bench.paper.scores import UNITS, bootstrapped, score_kernels, summary
from qpi_kernels.bench.paper.training import ModelTraining


def test_every_row_and_comparison_has_its_model() -> None:
    known = {model.name for model in (*MODELS, *HUB)} | set(BUNDLED)
    assert {row.model for row in ROWS} <= known
    measured = {(row.model, row.tests, row.noisy) for row in ROWS if not row.reconstruct}
    for one in COMPARISONS:
        assert (one.first, one.tests, one.noisy) in measured, one.claim
        assert (one.second, one.tests, one.noisy) in measured, one.claim


def test_models_come_after_those_they_need() -> None:
    names: list[str] = []
    for model in MODELS:
        assert {model.kernels_of, model.starts_from} - {None} <= set(names)
        names.append(model.name)


def test_methods_are_compared_like_for_like() -> None:
    models = {model.name: model for model in MODELS}
    for one, other in (("two_step", "one_step"), ("our_inputs_two_step", "our_inputs_one_step")):
        assert models[one].preset == models[other].preset
        assert models[one].preset.inputs == models[one].preset.baseline_inputs


def test_every_claim_on_the_methods_has_one_with_equal_inputs() -> None:
    inputs = {
        model.name: model.preset.inputs
        if "alignment" in model.stages
        else model.preset.baseline_inputs
        for model in MODELS
    }
    for one in COMPARISONS:
        if "two-step" not in one.claim or "one-step" not in one.claim:
            continue
        if "method and inputs" in one.claim:
            beside = [each for each in COMPARISONS if each.noisy == one.noisy]
            assert ("our_inputs_two_step", "our_inputs_one_step") in {
                (each.first, each.second) for each in beside
            }
        else:
            assert inputs[one.first] == inputs[one.second], one.claim
    both = next(one for one in COMPARISONS if "bundled" in one.claim)
    assert both.claim.startswith("method and inputs")


def test_steps_of_all_stages_are_told() -> None:
    assert stages_behind("two_step") == 2
    assert stages_behind("one_step") == 1
    assert stages_behind("noise_trained") == 2
    assert stages_behind("from_photographs") == 3
    assert stages_behind("bundled") == 0


def test_published_figures() -> None:
    changes = {
        one.claim: one.published[0] / one.published[1] - 1 for one in COMPARISONS if one.published
    }
    assert changes["two-step against one-step, published inputs"] == pytest.approx(-0.151, abs=1e-3)
    assert changes["with against without symmetric loss"] == pytest.approx(-0.055, abs=1e-3)
    assert changes["pre-trained against from scratch"] == pytest.approx(-0.211, abs=1e-3)


def test_a_summary_is_over_samples_and_kernels() -> None:
    values = np.array([[0.1, 0.3], [0.5, 0.5], [0.2, 1.0]])
    score = summary({"rmse": values}, seed=0)["rmse"]
    assert (score.mean, score.min, score.max) == pytest.approx((2.6 / 6, 0.1, 1.0))
    assert score.median == pytest.approx(0.5)
    assert score.spread == pytest.approx(np.std([0.2, 0.5, 0.6]))
    assert 0.2 <= score.low < score.mean < score.high <= 0.6


def test_a_paired_difference_is_surer_than_its_parts() -> None:
    hard = np.random.default_rng(0).uniform(0.05, 0.5, 20)
    low, high = bootstrapped(0.8 * hard, 0, hard)
    assert (low, high) == pytest.approx((-0.2, -0.2))
    assert np.subtract(*bootstrapped(hard, 0)) < -0.05
    assert bootstrapped(hard, 0) == bootstrapped(hard, 0)


def test_scores_have_units_and_raw_errors_only_on_the_published_scale() -> None:
    true = np.random.default_rng(0).standard_normal((2, 16, 16)).astype(np.float32)
    found = np.repeat(true[:, None], 3, axis=1)
    scores = score_kernels(true, found, min_max=True)
    assert scores.keys() <= UNITS.keys()
    assert all(values.shape == (2, 3) for values in scores.values())
    assert scores["rmse"].max() < 1e-6
    assert scores["rmse_as_predicted"].min() > 0.1
    assert "rmse_as_predicted" not in score_kernels(true, found, min_max=False)


def codes(noise: float):
    rng = np.random.default_rng(0)
    families = np.repeat(["one", "two"], 10)
    kernels = rng.standard_normal((20, 4, 2, 2)) + 50 * (families == "two")[:, None, None, None]
    seen = kernels[:, None] + noise * rng.standard_normal((20, 5, 4, 2, 2))
    return flattened(kernels.astype(np.float32), seen.astype(np.float32), families)


def test_neighbours_in_latent_space() -> None:
    near, far = neighbours(codes(0.01)), neighbours(codes(1000.0))
    assert near["own_kernel_nearest"] == near["own_family_nearest"] == 1
    assert near["family_neighbour"] == 1
    assert near["family_by_chance"] == pytest.approx(9 / 19)
    assert far["own_kernel_nearest"] < 0.3
    assert near.keys() <= UNITS.keys()


def test_latent_space_in_a_plane() -> None:
    made = codes(0.01)
    kernels, observations, way = plane(made)
    assert kernels.shape == (20, 2)
    assert observations.shape == (20, 5, 2)
    assert way in ("t-SNE", "principal components")
    middles = [kernels[made.families == name].mean(axis=0) for name in ("one", "two")]
    assert np.linalg.norm(middles[0] - middles[1]) > np.linalg.norm(kernels[:10] - middles[0])


def report() -> PaperReport:
    scores = summary({"rmse": np.array([[0.1, 0.2], [0.3, 0.3]])}, 0)
    common = {"table": "A", "model": "two_step", "tests": "OOD", "noisy": False}
    return PaperReport(
        rows=[
            PaperRow(label="two-step", scores=scores, published_rmse=0.1297, **common),
            PaperRow(label="pre-trained", not_run="no weights", **common),
        ],
        comparisons=[PaperComparison(claim="this against that", tests="OOD")],
        latent={}, units=UNITS, tests={}, budget={"steps": 2}, quick=True, seed=0,
        software="none", machine="none",
    )  # fmt: skip


def test_a_report_survives_json() -> None:
    assert PaperReport.model_validate_json(report().model_dump_json()) == report()


def test_pictures(tmp_path) -> None:
    pytest.importorskip("matplotlib")
    kernels = np.random.default_rng(0).standard_normal((2, 64, 64)).astype(np.float32)
    made = write_plots(
        report(), PaperPictures(kernels, {"two-step": kernels}, codes(0.1)), tmp_path / "plots"
    )
    assert [path.name for path in made] == ["rmse.png", "kernels.png", "latent.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in made)


def test_quick_changes_only_what_was_left_out() -> None:
    assert PaperParameters().budget["steps_of_each_stage"] == 700
    assert PaperParameters(quick=True).budget["steps_of_each_stage"] == 6
    assert PaperParameters(quick=True, steps=50).budget["steps_of_each_stage"] == 50


def test_a_folder_of_another_benchmark_is_refused(tmp_path) -> None:
    PaperBench(tmp_path, PaperParameters(steps=2))
    PaperBench(tmp_path, PaperParameters(steps=2, device="cpu"))
    with pytest.raises(PaperBenchError, match="choose another folder"):
        PaperBench(tmp_path, PaperParameters(steps=3))
    with pytest.raises(PaperBenchError, match="other parameters"):
        PaperBench(tmp_path, PaperParameters(steps=2, precision="bf16"))
    with pytest.raises(RuntimeError, match="not finished"):
        _ = PaperBench(tmp_path, PaperParameters(steps=2)).result


def test_other_software_may_go_on_and_is_told(tmp_path) -> None:
    parameters = PaperParameters(steps=2)
    assert claim_folder(tmp_path / "work", parameters, "version 1, cpu") == []
    assert claim_folder(tmp_path / "work", parameters, "version 1, cpu") == []
    assert claim_folder(tmp_path / "work", parameters, "version 2, cpu") == ["version 1, cpu"]
    assert claim_folder(tmp_path / "work", parameters, "version 1, cpu") == ["version 2, cpu"]


def test_a_damaged_note_is_refused(tmp_path) -> None:
    (tmp_path / "bench.json").write_text("[" * 100_000)
    with pytest.raises(PaperBenchError, match="choose another folder"):
        claim_folder(tmp_path, PaperParameters(), "version 1")


def test_precision_reaches_the_trainings_and_the_budget(tmp_path) -> None:
    parameters = PaperParameters(precision="bf16")
    assert parameters.budget["precision"] == "bf16"
    training = ModelTraining(tmp_path, MODELS[0], PaperData(tmp_path, parameters), parameters)
    assert training.parameters_of("kernels").precision == "bf16"
