"""The registry of estimators: what each method takes, and what is said about the rest."""

from __future__ import annotations

import inspect
import json
from typing import Any, Literal

import numpy as np
import pytest

from qpi_kernels.extraction import (
    EstimatorParameters,
    ExtractionError,
    extract,
    known_estimators,
    make_parameters,
    register,
)
from qpi_kernels.extraction.bayes.parameters import BayesParameters
from qpi_kernels.extraction.least_squares.method import LeastSquaresParameters
from qpi_kernels.extraction.registry import combined_parameters, methods_with
from shared.toy_estimator import ToyParameters, registered_toy

COMMON = {"kernel_shape", "method", "symmetry", "background", "device", "dtype", "seed"}
COMMON |= {"choose_window", "validation_folds"}
SOLVER = {"tolerance", "max_iterations"}
OWN = {
    "bayes": SOLVER | {"prior", "library", "noise", "model", "refine"},
    "least_squares": SOLVER | {"ridge", "refine"},
    "average": set(),
    "two_step": {"model", "samples"},
    "one_step": {"model", "samples"},
    "blind": SOLVER | {"prior", "library", "noise", "model", "kinds"},
}


def image_and_defects() -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Return noise, and two marks on it."""
    return np.random.default_rng(0).standard_normal((32, 32)), [(10, 10), (20, 15)]


def test_each_method_has_exactly_the_fields_it_uses() -> None:
    found = {name: set(one.parameters.model_fields) for name, one in known_estimators().items()}
    assert list(found) == list(OWN)
    assert found == {name: COMMON | own for name, own in OWN.items()}


def test_the_keywords_of_extract_are_the_fields_of_all_methods() -> None:
    known = set().union(COMMON, *OWN.values())
    apart = {"observation", "defects", "mask", "parameters", "on_event", "cancel", "fields"}
    assert set(inspect.signature(extract).parameters) - apart == known


def test_combined_fields_keep_types_defaults_and_ranges() -> None:
    combined = combined_parameters()
    for one in known_estimators().values():
        for name, field in one.parameters.model_fields.items():
            if name != "method":
                assert combined.model_fields[name].default == field.default, name
                assert combined.model_fields[name].annotation == field.annotation, name
                assert combined.model_fields[name].metadata == field.metadata, name


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ridge": 1.0}, "ridge is a field of least_squares, not of bayes.*'least_squares'"),
        ({"method": "average", "prior": "smooth"}, "prior is a field of bayes and blind"),
        ({"kernel_shap": (9, 9)}, "no field 'kernel_shap'.*did you mean 'kernel_shape'"),
        ({"method": "bays"}, "no method 'bays'.*did you mean 'bayes'.*least_squares"),
        ({"samples": 1, "method": "two_step"}, "samples: .*greater than or equal to 2"),
        ({"symmetry": "C5"}, "symmetry: unknown symmetry"),
    ],
)
def test_wrong_fields_are_refused_in_words(fields: dict[str, Any], message: str) -> None:
    image, defects = image_and_defects()
    given = {"kernel_shape": (9, 9)} | fields
    with pytest.raises(ExtractionError, match=message):
        extract(image, defects, **given)


def test_keywords_change_parameters_and_may_change_the_method() -> None:
    base = LeastSquaresParameters(kernel_shape=(9, 9), ridge=2.0, symmetry="C4", tolerance=1e-3)
    assert make_parameters({"symmetry": None}, base) == LeastSquaresParameters(
        kernel_shape=(9, 9), ridge=2.0, tolerance=1e-3
    )
    # Fields that both have are kept, others dropped.
    changed = make_parameters({"method": "bayes"}, base)
    assert changed == BayesParameters(kernel_shape=(9, 9), symmetry="C4", tolerance=1e-3)


@pytest.mark.parametrize("method", OWN)
def test_saved_parameters_make_the_same_again(method: str) -> None:
    chosen = make_parameters({"method": method, "kernel_shape": (9, 11), "symmetry": "c4v"})
    assert type(chosen) is known_estimators()[method].parameters
    assert make_parameters(json.loads(chosen.model_dump_json())) == chosen


def test_a_window_larger_than_the_image_is_refused() -> None:
    image, defects = image_and_defects()
    for shape in ((33, 9), (9, 33)):
        with pytest.raises(ExtractionError, match=r"larger than the image \(32, 32\)"):
            extract(image, defects, kernel_shape=shape, method="average")
    whole = extract(image, defects, kernel_shape=(32, 32), method="average")
    assert whole.kernel.shape == (32, 32)


def test_a_registered_estimator_extracts_and_is_saved_with_the_result() -> None:
    image, defects = image_and_defects()
    with registered_toy():
        assert list(known_estimators())[-1] == "toy"
        assert methods_with("wobble") == ["toy"]
        found = extract(image, defects, method="toy", kernel_shape=(9, 9), wobble=0.5)
        same = extract(image, defects, parameters=ToyParameters(kernel_shape=(9, 9), wobble=0.5))
        with pytest.raises(ExtractionError, match="wobble is a field of toy, not of bayes"):
            extract(image, defects, kernel_shape=(9, 9), wobble=0.5)
    plain = extract(image, defects, method="average", kernel_shape=(9, 9))
    np.testing.assert_array_equal(found.kernel, plain.kernel)
    np.testing.assert_array_equal(same.kernel, plain.kernel)
    assert found.provenance["parameters"]["method"] == "toy"
    assert found.provenance["parameters"]["wobble"] == 0.5
    with pytest.raises(ExtractionError, match="no method 'toy'"):
        extract(image, defects, method="toy")


def test_a_name_is_given_once() -> None:
    class Impostor(EstimatorParameters):
        method: Literal["bayes"] = "bayes"

    class Nameless(EstimatorParameters):
        pass

    known_estimators()
    with pytest.raises(ValueError, match="there is a method 'bayes' already"):
        register(Impostor)
    with pytest.raises(ValueError, match="give its field method a name"):
        register(Nameless)
