"""Where models come from."""

from __future__ import annotations

import hashlib
import os
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


def cached(model: Path, cache: Path, blobs: Path) -> Path:
    """Lay a model out as the hub's client caches `someone/model`: links into `blobs`."""
    repository = cache / "models--someone--model"
    snapshot = repository / "snapshots" / ("a" * 40)
    blobs.mkdir(parents=True)
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("a" * 40)
    for path in [path for path in model.rglob("*") if path.is_file()]:
        blob = blobs / hashlib.sha256(path.read_bytes()).hexdigest()
        blob.write_bytes(path.read_bytes())
        link = snapshot / path.relative_to(model)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return snapshot


@pytest.mark.parametrize("blobs", ["models--someone--model/blobs", "blobs/12"])
def test_a_model_in_the_hubs_cache(
    baseline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blobs: str
) -> None:
    cache = tmp_path / "cache"
    snapshot = cached(baseline, cache, cache / blobs)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    expected = load_model(baseline, method="one_step").digest
    assert load_model("someone/model", method="one_step").digest == expected
    assert load_model(snapshot, method="one_step").digest == expected


def test_a_link_out_of_the_hubs_cache_is_refused(baseline: Path, tmp_path: Path) -> None:
    snapshot = cached(baseline, tmp_path / "cache", tmp_path / "elsewhere" / "blobs")
    with pytest.raises(ModelFormatError, match="is a link"):
        load_model(snapshot, method="one_step")
