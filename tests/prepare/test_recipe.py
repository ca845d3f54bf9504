"""Recipes: lists of steps in files."""

import json

import numpy as np
import pytest

from qpi_kernels import prepare

STEPS = [prepare.Crop(rows=(2, 18), columns=(0, 16)), prepare.Rotate(angle_deg=90)]


def test_a_recipe_comes_back_as_it_was_written(tmp_path) -> None:
    prepare.recipe.write(tmp_path / "r.json", STEPS)
    assert prepare.recipe.read(tmp_path / "r.json") == STEPS


def test_a_history_is_a_recipe_and_repeats_it_bit_for_bit(tmp_path) -> None:
    raw = np.random.default_rng(1).normal(size=(20, 20))
    made = prepare.run(raw, STEPS)
    prepare.recipe.write(tmp_path / "r.json", made.history)
    again = prepare.run(raw, prepare.recipe.read(tmp_path / "r.json"))
    np.testing.assert_array_equal(again.image.values, made.image.values)
    assert json.loads((tmp_path / "r.json").read_text()) == list(made.history)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no JSON"),
        ('{"step": "crop"}', "a list of steps"),
        ('["crop"]', "step 1: a step is written as"),
        ('[{"step": "levitate"}]', "there is no step 'levitate'; known are align_traces"),
        ('[{"step": "crop", "rows": [0, 4], "columns": [-1, 3]}]', "columns.0: Input should be"),
        ('[{"step": "crop", "rows": [0, 4], "columns": [0, 3], "a": 1}]', "a: Extra inputs"),
    ],
)
def test_what_is_no_recipe_is_refused_in_words(tmp_path, text, words) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(prepare.PreparationError, match=r"r\.json") as raised:
        prepare.recipe.read(tmp_path / "r.json")
    assert words in str(raised.value)
