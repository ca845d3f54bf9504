"""The form of an extraction, derived from the registry of estimators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_qpi.widgets.common.value_editors import PairEditor
from napari_qpi.widgets.extract.form import ExtractionForm
from napari_qpi.widgets.extract.kernel_size import KernelSize
from qpi_kernels.extraction.bayes.parameters import BayesParameters
from shared.toy_estimator import ToyParameters, registered_toy

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from pytestqt.qtbot import QtBot


def make_form(qtbot: QtBot) -> ExtractionForm:
    """Return a form whose rows are closed after the test."""
    form = ExtractionForm()
    qtbot.addWidget(form.main)
    qtbot.addWidget(form.advanced)
    return form


def test_a_registered_estimator_is_in_the_form(qtbot: QtBot) -> None:
    with registered_toy():
        form = make_form(qtbot)
        assert form.main.editor("wobble").isHidden()
        form.main.set_values({"method": "toy", "kernel_shape": (9, 9), "wobble": 0.25})
        assert not form.main.editor("wobble").isHidden()
        assert form.parameters() == ToyParameters(kernel_shape=(9, 9), wobble=0.25)
        # Comparing with another method drops what that one does not have.
        (compared,) = form.parameters_of_each(["bayes"])
        assert compared == BayesParameters(kernel_shape=(9, 9))
    assert "wobble" not in make_form(qtbot).main.values()


def test_words_for_values_come_from_the_class(qtbot: QtBot) -> None:
    form = make_form(qtbot)
    editor = form.main.editor("prior")
    texts = [editor._combo.itemText(index) for index in range(editor._combo.count())]
    assert "what a network can make (learned)" in texts


def test_the_kernel_is_at_most_as_large_as_the_image(qtbot: QtBot, model: ViewerModel) -> None:
    form = make_form(qtbot)
    editor = form.main.editor("kernel_shape")
    assert isinstance(editor, PairEditor)
    size = KernelSize(model, editor)
    qtbot.addWidget(size)
    image = model.add_image(np.zeros((40, 30)))
    size.show_on(image, None)
    assert editor.value() == (30, 30)
    editor._spins[0].setValue(2147483647)
    assert editor.value() == (30, 30)
    editor._square.setChecked(False)
    editor._spins[0].setValue(2147483647)
    assert editor.value() == (40, 30)
    size.disconnect_events()


def test_methods_are_compared_in_the_window_that_is_entered(qtbot: QtBot) -> None:
    form = make_form(qtbot)
    form.main.set_values({"kernel_shape": (9, 9)})
    form.advanced.set_values({"choose_window": True, "validation_folds": 3})
    assert form.parameters().choose_window
    for one in form.parameters_of_each(["least_squares", "bayes"]):
        assert one.kernel_shape == (9, 9)
        assert (one.choose_window, one.validation_folds) == (False, 0)
