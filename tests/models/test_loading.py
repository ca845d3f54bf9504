"""Where models come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from qpi_kernels.models import KernelModel, ModelFormatError, load_model, write_model
from qpi_kernels.models.networks import OneStepNetwork
from qpi_kernels.models.presets import ModelPreset

TINY = ModelPreset(name="compact", channels=(8, 8, 8, 8), layers=1, groups=4)


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    networks = {"one_step": OneStepNetwork.of_preset(TINY)}
    model = KernelModel("one_step", TINY.representation, networks)
    return write_model(tmp_path / "baseline", model, "A card")


def test_a_folder(baseline: Path) -> None:
    assert load_model(baseline, method="one_step").method == "one_step"
    assert load_model(str(baseline), method="one_step", device="cpu").digest


def test_a_model_of_another_method(baseline: Path) -> None:
    with pytest.raises(ModelFormatError, match="use it with method='one_step'"):
        load_model(baseline)


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(ModelFormatError, match="no model folder"):
        load_model("/nowhere/at/all")


def test_a_hub_that_can_not_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelFormatError, match="can not be downloaded"):
        load_model("napari-qpi-tests/no-such-model")
