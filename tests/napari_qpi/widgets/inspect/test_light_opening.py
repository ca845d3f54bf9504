"""The Inspect dock opens without what only fits and figures need."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest

from napari_qpi.tasks.inspection.dispersion_fit import MODELS
from qpi_kernels.inspect.dispersion.errors import DispersionError
from qpi_kernels.inspect.dispersion.models import dispersion_model
from qpi_kernels.inspect.dispersion.synthesis.bands import band_model
from qpi_kernels.inspect.dispersion_choices import (
    METHODS,
    ROUND_MODELS,
    SYNTHESISED_MODELS,
    Method,
)

CODE = """
import sys
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
from napari_qpi.widgets.inspect.dock import Inspect
application = QApplication([])
dock = Inspect(ViewerModel())
print(*({"torch", "lmfit", "matplotlib"} & set(sys.modules)))
"""


def test_the_dock_is_built_without_torch_lmfit_and_matplotlib() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_models_and_methods_on_offer_are_those_of_the_fits() -> None:
    assert get_args(Method) == METHODS
    assert set(MODELS) == {*ROUND_MODELS, *SYNTHESISED_MODELS}
    for name in ROUND_MODELS:
        assert dispersion_model(name, {}).name == name
    for name in SYNTHESISED_MODELS:
        assert band_model(name).name == name
    for name in set(MODELS) - set(ROUND_MODELS):
        with pytest.raises(DispersionError):
            dispersion_model(name, {})
