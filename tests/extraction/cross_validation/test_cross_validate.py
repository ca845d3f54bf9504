"""Predictions of left-out pixels: their scores, and that they have not seen what they predict."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import xarray as xr

from qpi_kernels import Defects
from qpi_kernels.extraction import ExtractionError, compare_models, cross_validate
from qpi_kernels.extraction.cross_validation.cross_validate import start_cross_validation
from qpi_kernels.progress import Cancelled, CancelToken
from shared.planted import friedel_rings, planted_map
from shared.toy_estimator import ToyParameters, registered_toy

SHAPE, SIZE, NOISE = (17, 17), 64, 0.3
RINGS = friedel_rings(decay=3.0)
PLACES = np.random.default_rng(0).uniform(0, SIZE - 1, (14, 2))
SIGNAL = planted_map(RINGS, PLACES, (SIZE, SIZE))


def noisy(seed: int = 0, noise: float = NOISE) -> np.ndarray:
    """Return the map with white noise."""
    return SIGNAL + noise * np.random.default_rng(seed + 10).normal(size=SIGNAL.shape)


def scores(observation, defects=PLACES, methods=("average", "least_squares"), **more):
    """Score methods on few folds."""
    options = dict(methods=methods, kernel_shape=SHAPE, background="offset", folds=3) | more
    return cross_validate(observation, defects, **options)


def test_r_squared_is_what_noise_leaves() -> None:
    found = scores(noisy(), methods=("least_squares",))
    score = found.scores["least_squares"]
    # The window holds nearly all of the map; noise is never predicted.
    limit = 1 - NOISE**2 / (SIGNAL.var() + NOISE**2)
    assert limit - 0.06 < score.r_squared < limit + 0.01
    assert 0 < score.r_squared_error < 0.05
    assert score.within_1_sigma == pytest.approx(0.683, abs=0.03)
    assert score.within_2_sigma == pytest.approx(0.954, abs=0.02)
    assert score.folds == 3
    assert score.block_px == 4
    assert score.pixels <= SIZE**2


def test_noise_is_not_predicted() -> None:
    noise = np.random.default_rng(5).normal(size=(SIZE, SIZE))
    found = scores(noise, methods=("average", "least_squares"))
    for score in found.scores.values():
        assert score.r_squared < 2 * score.r_squared_error
    assert found.sentences()[0].startswith("No alternative predicts")


def test_left_out_pixels_are_not_seen() -> None:
    """The average of a lone defect explains its own pixels wholly, and predicts none of them."""
    random = np.random.default_rng(3)
    alone = random.normal(size=(33, 33))
    found = scores(alone, [(16, 16)], methods=("average",), block_px=4)
    score = found.scores["average"]
    assert score.r_squared == pytest.approx(0.0, abs=0.03)


def test_methods_are_ranked_with_the_error_of_their_paired_difference() -> None:
    found = scores(noisy())
    assert found.ranking == ["least_squares", "average"]
    gap = found.difference("least_squares", "average")
    assert gap.real
    one, other = found.scores["least_squares"], found.scores["average"]
    assert gap.r_squared == pytest.approx(one.r_squared - other.r_squared)
    # What both leave of a block, its noise, cancels.
    assert gap.r_squared_error < max(one.r_squared_error, other.r_squared_error)
    assert found.difference("average", "least_squares").r_squared == -gap.r_squared
    assert gap.log_likelihood > 2 * gap.log_likelihood_error
    words = found.sentences()
    assert words[0].startswith("Least squares predicts best: R² 0.")
    assert words[1].startswith("Average predicts worse: R² smaller by 0.")


def test_a_symmetry_that_is_there_predicts_better_and_one_that_is_not_worse() -> None:
    alternatives = {
        "free": {},
        "fourfold": {"symmetry": "C4"},
        "threefold": {"symmetry": "C3"},
    }
    found = compare_models(
        noisy(noise=0.6),
        PLACES,
        alternatives,
        method="least_squares",
        kernel_shape=SHAPE,
        folds=3,
    )
    assert found.ranking[0] == "fourfold"
    assert found.difference("fourfold", "free").real
    assert found.difference("fourfold", "threefold").real
    assert found.simplest == "fourfold"


def test_the_simplest_of_equals_is_named() -> None:
    """Two names of one extraction do not differ, and the first is as good as the best."""
    alternatives = {"once": {}, "again": {}}
    found = compare_models(
        noisy(), PLACES, alternatives, method="least_squares", kernel_shape=SHAPE, folds=2
    )
    assert found.difference("once", "again") == (0, 0, 0, 0)
    assert found.simplest == "once"
    assert "does not differ really" in found.sentences()[1]


def test_kinds_are_decided_by_prediction() -> None:
    kinds = np.where(np.arange(14) % 2, "dark", "bright")
    sign = np.where(kinds == "dark", -1.0, 1.0)
    mixed = planted_map(RINGS, PLACES, (SIZE, SIZE), sign)
    mixed += 0.2 * np.random.default_rng(4).normal(size=mixed.shape)
    found = compare_models(
        mixed,
        PLACES,
        {"one kind": {}, "two kinds": {"defects": Defects(PLACES, kinds)}},
        method="least_squares",
        kernel_shape=SHAPE,
        folds=3,
    )
    assert found.simplest == "two kinds"
    # And kinds that are alike are not told apart.
    found = compare_models(
        noisy(),
        PLACES,
        {"one kind": {}, "two kinds": {"defects": Defects(PLACES, kinds)}},
        method="least_squares",
        kernel_shape=SHAPE,
        folds=3,
    )
    assert found.simplest == "one kind"


def test_defects_are_left_out_whole() -> None:
    found = scores(noisy(), leave_out="defects", folds=20)
    score = found.scores["least_squares"]
    assert score.left_out == "defects"
    assert score.folds == score.blocks <= 14
    assert score.r_squared > 0.5


def test_planes_of_a_stack_count_by_their_noise() -> None:
    """A plane of pure noise, however strong, does not drown the others."""
    random = np.random.default_rng(8)
    bias = xr.DataArray(
        np.stack([noisy(1), noisy(2), 1e3 * random.normal(size=SIGNAL.shape)]),
        dims=("bias", "y", "x"),
        coords={"bias": [0.1, 0.2, 0.3]},
    )
    both = scores(bias, methods=("least_squares",)).scores["least_squares"]
    alone = scores(bias[0], methods=("least_squares",)).scores["least_squares"]
    assert 0.5 * alone.r_squared < both.r_squared < alone.r_squared


def test_masked_pixels_do_not_count() -> None:
    observation, mask = noisy(), np.ones((SIZE, SIZE), bool)
    mask[20:40] = False
    spoilt = observation.copy()
    spoilt[20:40] = 1e6
    clean = scores(observation, mask=mask).scores["least_squares"]
    assert scores(spoilt, mask=mask).scores["least_squares"] == clean
    spoilt[20:40] = np.nan
    assert scores(spoilt).scores["least_squares"] == clean


def test_refined_positions_predict_better_than_wrong_marks() -> None:
    rows, size = slice(0, 5), 40
    places = PLACES[rows] * (size - 1) / (SIZE - 1)
    observation = planted_map(RINGS, places, (size, size))
    observation += 0.15 * np.random.default_rng(1).normal(size=observation.shape)
    found = compare_models(
        observation,
        places + np.random.default_rng(9).normal(scale=1.0, size=places.shape),
        {"as marked": {}, "refined": {"refine": "positions"}},
        method="least_squares",
        kernel_shape=(13, 13),
        background="offset",
        folds=2,
    )
    assert found.simplest == "refined"
    assert found.difference("refined", "as marked").real


@contextmanager
def broken_toy(error: Exception) -> Iterator[None]:
    """Register an estimator that fails."""
    from qpi_kernels.extraction.registry import register, unregister

    with registered_toy():
        unregister("toy")

        @register(ToyParameters)
        def start_broken(problem):
            raise error

        yield


@pytest.mark.parametrize("kind", [ExtractionError, RuntimeError, np.linalg.LinAlgError])
def test_a_method_that_fails_is_named_and_the_others_go_on(kind) -> None:
    with broken_toy(kind("the toy is broken")):
        found = scores(noisy(), methods=("toy", "least_squares"), folds=2)
    assert found.failures == {"toy": "the toy is broken"}
    assert list(found.scores) == ["least_squares"]


def test_an_error_of_the_program_is_no_failure_of_a_method() -> None:
    with broken_toy(TypeError("a typo")), pytest.raises(TypeError, match="a typo"):
        scores(noisy(), methods=("toy", "least_squares"), folds=2)


def test_nothing_is_best_where_all_fail() -> None:
    with broken_toy(RuntimeError("the toy is broken")):
        found = scores(noisy(), methods=("toy",), folds=2)
    assert found.to_dict()["sentences"] == []
    for ask in (lambda: found.ranking, lambda: found.simplest, found.sentences):
        with pytest.raises(ExtractionError, match="toy: the toy is broken"):
            ask()


def test_it_is_json_and_a_picture() -> None:
    found = scores(noisy())
    entry = json.loads(json.dumps(found.to_dict()))
    assert entry["best"] == "least_squares"
    assert entry["behind_best"]["average"]["real"] is True
    assert entry["scores"]["average"]["folds"] == 3
    axes = pytest.importorskip("matplotlib.figure").Figure().subplots()
    assert found.plot(axes) is axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["average", "least squares"]


def test_it_stops_when_asked_to() -> None:
    token = CancelToken()
    with pytest.raises(Cancelled):
        scores(noisy(), on_event=lambda event: token.cancel(), cancel=token)


def test_progress_goes_on_to_its_end() -> None:
    stepper = start_cross_validation(
        noisy(), PLACES, methods=["average"], folds=2, kernel_shape=SHAPE
    )
    fractions = []
    while not stepper.done:
        fractions.append(stepper.step().fraction or 0.0)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"folds": 1}, "two or more folds"),
        ({"block_px": 0}, "positive number"),
        ({"methods": ["blind"]}, "finds the defects"),
        ({"methods": []}, "name at least one"),
        ({"methods": ["leastsquares"]}, "did you mean"),
        ({"kernle": 3}, "there is no field 'kernle'"),
        ({"kernel_shape": "auto"}, "give kernel_shape as"),
        ({"validation_folds": 3}, "leave it out"),
    ],
)
def test_wrong_arguments_are_refused(options, words) -> None:
    with pytest.raises(ExtractionError, match=words):
        scores(noisy(), **options)


def test_methods_take_the_fields_they_have() -> None:
    """A prior is of bayes alone, and no error for the others."""
    found = scores(noisy(), methods=("average", "least_squares"), prior="smooth", folds=2)
    assert len(found.scores) == 2


def test_the_noise_model_is_decided_by_prediction() -> None:
    """Strong slow noise is left to the noise by one model and given to the kernel by the other."""
    random = np.random.default_rng(2)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIZE), np.fft.fftfreq(SIZE), indexing="ij"))
    white = np.fft.fft2(random.normal(size=(SIZE, SIZE)))
    slow = np.fft.ifft2(white / np.maximum(frequency * SIZE, 1) ** 1.5).real
    found = compare_models(
        SIGNAL + 0.6 * slow / slow.std() + 0.05 * random.normal(size=SIGNAL.shape),
        PLACES,
        {"white": {"noise": "white"}, "coloured": {"noise": "coloured"}},
        prior="smooth",
        kernel_shape=SHAPE,
        folds=2,
    )
    assert found.ranking[0] == "coloured"
    assert found.difference("coloured", "white").real
