"""Point groups: parsing, exactness, centre and direction of mirrors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpi_kernels.symmetry import Symmetry, SymmetryError, symmetrisation_matrix, symmetry_scores


def apply(symmetry, image):
    matrix = symmetrisation_matrix(Symmetry.parse(symmetry), image.shape)
    return (matrix @ image.ravel()).reshape(image.shape)


def star(fold, size=65, angle=0.0, wave=0.35):
    rows, cols = np.indices((size, size)) - size // 2
    theta = np.arctan2(-rows, cols) - np.deg2rad(angle)
    radius = np.hypot(rows, cols)
    return (
        np.cos(wave * radius)
        * np.exp(-radius / 12)
        * (1 + 0.6 * np.cos(fold * theta) * (1 - np.exp(-((radius / 8) ** 2))))
    )


@pytest.mark.parametrize("text", ["C2", "C3", "C4", "C6", "Cs", "Cs@30", "C2v", "C6v@12.5"])
def test_names_survive_a_round_trip(text):
    assert str(Symmetry.parse(text)) == text
    assert str(Symmetry.parse(text.lower())) == text


@pytest.mark.parametrize("text", ["C5", "D4", "C4@10", "C4v@", "C4v@ten", "4", ""])
def test_unknown_groups_are_refused_with_the_list(text):
    with pytest.raises(SymmetryError, match="C2, C3, C4, C6"):
        Symmetry.parse(text)


@given(st.sampled_from(["C2", "C4", "Cs", "C2v", "C4v", "Cs@90", "Cs@45"]), st.integers(3, 12))
def test_lattice_symmetries_are_exact_projections(text, size):
    matrix = symmetrisation_matrix(Symmetry.parse(text), (size, size))
    assert abs(matrix @ matrix - matrix).max() < 1e-12
    assert abs(matrix - matrix.T).max() < 1e-12


@pytest.mark.parametrize("size", [64, 65])
@pytest.mark.parametrize(
    ("group", "fold"), [("C2", 2), ("C3", 3), ("C4", 4), ("C6", 6), ("C3v", 3)]
)
def test_a_symmetric_kernel_stays_and_another_changes(group, fold, size):
    inside = np.hypot(*(np.indices((size, size)) - size // 2)) < 28
    symmetric = star(fold, size)
    assert np.abs(apply(group, symmetric) - symmetric)[inside].max() < 0.02
    other = star(5, size)
    assert np.abs(apply(group, other) - other)[inside].max() > 0.2


def test_the_centre_is_index_half_for_even_windows():
    image = np.zeros((8, 8))
    image[4, 4] = 1.0
    np.testing.assert_array_equal(apply("C4v", image), image)


def test_the_mirror_angle_is_anticlockwise_on_the_screen():
    image = np.zeros((9, 9))
    image[2, 6] = 1.0
    mirrored = apply("Cs@45", image)
    assert mirrored[2, 6] == pytest.approx(1.0)
    image = np.zeros((9, 9))
    image[4, 7] = 1.0
    mirrored = apply("Cs@45", image)
    assert mirrored[4, 7] == mirrored[1, 4] == pytest.approx(0.5)


@pytest.mark.parametrize("fold", [2, 3, 4, 6])
def test_scores_find_the_fold(fold):
    scores = symmetry_scores(star(fold, wave=0.2))
    subgroups = {2: ["C2"], 3: ["C3"], 4: ["C2", "C4"], 6: ["C2", "C3", "C6"]}[fold]
    for name, score in scores.items():
        assert (score > 0.99) == (name in subgroups), (fold, name, score)


def test_scores_of_a_stack_are_weighted_by_energy():
    stack = np.stack([star(4), 1e-3 * star(3)])
    assert symmetry_scores(stack)["C4"] > 0.99


def test_a_constant_kernel_has_no_score():
    assert np.isnan(symmetry_scores(np.ones((9, 9)))["C2"])
