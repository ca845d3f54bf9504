"""What the extraction panel offers to choose, and that the choice is what is extracted with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from napari.layers import Image
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QFileDialog, QToolButton

import qpi_kernels as qk
from napari_qpi.tasks.job import JobState
from napari_qpi.widgets.extract.dock import ExtractKernel
from qpi_kernels.extraction.average.method import AverageParameters
from qpi_kernels.extraction.bayes.parameters import BayesParameters
from qpi_kernels.extraction.least_squares.method import LeastSquaresParameters
from qpi_kernels.extraction.registry import known_estimators
from qpi_kernels.progress import drive
from qpi_kernels.simulate.kernel_sampler import KernelSampler
from qpi_kernels.train.prior_fit import PriorFit
from shared.docks import open_dock
from shared.extract_panel import (
    DEFECTS,
    extract,
    observed,
)

if TYPE_CHECKING:
    from napari import Viewer


def test_every_field_of_the_parameters_has_a_row(panel: ExtractKernel) -> None:
    panel.form.set_values({"method": "bayes"})
    rows = panel.form.values() | panel.advanced_form.values()
    assert set(rows) == {
        name for one in known_estimators().values() for name in one.parameters.model_fields
    }
    assert panel.parameters() == BayesParameters(kernel_shape=(9, 9))


def shown_rows(panel: ExtractKernel) -> set[str]:
    forms = (panel.form, panel.advanced_form)
    return {name for form in forms for name in form.values() if not form.editor(name).isHidden()}


def test_every_method_shows_the_rows_it_uses(viewer: Viewer, image: Image) -> None:
    panel = open_dock(viewer, "Extract kernel", ExtractKernel)
    assert panel.parameters().method == "bayes"
    always = {"kernel_shape", "method", "symmetry", "background", "device", "dtype", "seed"}
    always |= {"choose_window", "validation_folds"}
    solvers = always | {"tolerance", "max_iterations"}
    networks = always | {"model", "samples"}
    for method, rows in {
        "bayes": solvers | {"prior", "library", "noise", "refine"},
        "least_squares": solvers | {"ridge", "refine"},
        "average": always,
        "two_step": networks,
        "one_step": networks,
        "blind": solvers | {"prior", "library", "noise", "kinds"},
    }.items():
        panel.form.set_values({"method": method})
        assert shown_rows(panel) == rows, method
    panel.form.set_values({"method": "bayes", "prior": "learned"})
    assert shown_rows(panel) == solvers | {"prior", "library", "noise", "refine", "model"}
    panel.form.set_values({"method": "average"})
    assert shown_rows(panel) == always


def test_what_is_hidden_does_not_count(panel: ExtractKernel) -> None:
    panel.form.set_values({"method": "bayes", "prior": "smooth"})
    panel.advanced_form.set_values({"refine": "positions"})
    chosen = BayesParameters(kernel_shape=(9, 9), prior="smooth", refine="positions")
    assert panel.parameters() == chosen
    panel.form.set_values({"method": "least_squares"})
    panel.advanced_form.set_values({"ridge": 2.5})
    assert panel.parameters() == LeastSquaresParameters(
        kernel_shape=(9, 9), ridge=2.5, refine="positions"
    )
    panel.form.set_values({"method": "average"})
    assert panel.parameters() == AverageParameters(kernel_shape=(9, 9))
    panel.form.set_values({"method": "bayes"})
    assert panel.parameters() == chosen


def test_a_wrong_entry_is_explained(panel: ExtractKernel) -> None:
    panel.form.set_values({"symmetry": "C5"})
    panel.run_controls.run_button.click()
    assert panel.job.state is JobState.IDLE
    assert "C6v" in panel.run_controls.status.text()


def test_a_library_is_chosen_from_the_disk(
    qtbot: QtBot, panel: ExtractKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel.form.set_values({"method": "bayes"})
    fit = PriorFit(KernelSampler(("cuprate",), shape=(24, 24)), count=64, components=16)
    path = drive(fit).save(tmp_path / "mine.safetensors")
    editor = panel.advanced_form.editor("library")
    button = editor.findChild(QToolButton)
    for answer in ("", str(path)):
        monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_, chosen=answer: (chosen, ""))
        button.click()
        assert panel.parameters().model_dump()["library"] == (answer or "bundled")
    extract(qtbot, panel)
    assert panel.result is not None
    assert panel.result.provenance["parameters"]["library"] == str(path)


@pytest.mark.parametrize(
    "prior", [pytest.param("learned", marks=pytest.mark.slow), "smooth", "none"]
)
def test_the_prior_is_used(qtbot: QtBot, panel: ExtractKernel, prior: str) -> None:
    panel.form.set_values({"method": "bayes", "prior": prior})
    extract(qtbot, panel)
    expected = qk.extract(observed(), DEFECTS, kernel_shape=(9, 9), prior=prior)
    assert panel.result is not None
    assert panel.result.provenance["parameters"]["prior"] == prior
    # The search for latents stops near, not at, the best: where depends on rounding, and so on
    # threads. Answers differ by less than they are uncertain by.
    near = float(expected.std.mean()) if prior == "learned" else 1e-5
    np.testing.assert_allclose(panel.result.kernel, expected.kernel, rtol=1e-4, atol=near)


def test_networks_and_refinement_run_from_the_dock(
    qtbot: QtBot, viewer: Viewer, panel: ExtractKernel
) -> None:
    panel.advanced_form.set_values({"refine": "positions"})
    panel.form.set_values({"method": "two_step"})
    extract(qtbot, panel)
    assert panel.result is not None
    assert panel.result.provenance["model"]["source"] == "bundled"
    assert panel.result.provenance["parameters"].get("refine") is None
    panel.form.set_values({"prior": "smooth"})
    for method in ("bayes", "least_squares"):
        panel.form.set_values({"method": method})
        extract(qtbot, panel)
        assert panel.result.provenance["parameters"]["method"] == method
        assert panel.result.provenance["refinement"]["rounds"] >= 1
