"""The models that a session knows of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_qpi.tasks import trained_models
from napari_qpi.tasks.trained_models import (
    known_models,
    models_changed,
    next_training_folder,
    remember_model,
    usual_training_folder,
)


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep trainings out of the user's data folder."""
    monkeypatch.setattr(trained_models, "training_home", lambda: tmp_path / "training")
    monkeypatch.setattr(trained_models, "_remembered", [])


def test_the_newest_model_is_known_first(tmp_path: Path) -> None:
    seen: list[object] = []
    models_changed.connect(lambda: seen.append(known_models()))
    models = []
    for run in ("training/run-1", "training/run-2", "elsewhere"):
        model = tmp_path / run / "model"
        model.mkdir(parents=True)
        (model / "model_index.json").write_text(json.dumps({}))
        models.append(model)
    assert known_models() == [models[1], models[0]]
    remember_model(models[2])
    assert seen == [[models[2], models[1], models[0]]]
    assert next_training_folder().name == usual_training_folder().name == "run-3"
    (models[1] / "model_index.json").unlink()
    assert known_models() == [models[2], models[0]]
    assert usual_training_folder().name == "run-2"
