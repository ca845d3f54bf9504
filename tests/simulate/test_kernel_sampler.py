"""Kernels by number: the same whenever, wherever and in whatever company they are asked for."""

from __future__ import annotations

import numpy as np
import pytest

from qpi_kernels import simulate
from qpi_kernels.simulate.families import FAMILIES


def test_a_kernel_depends_on_seed_and_number_alone() -> None:
    library = simulate.KernelSampler(shape=(24, 24), seed=4)
    late = library.values([library.recipe(7)])
    again = simulate.KernelSampler(shape=(24, 24), seed=4)
    for index in range(3):
        again.recipe(index)
    np.testing.assert_array_equal(again.values([again.recipe(7)]), late)
    other = simulate.KernelSampler(shape=(24, 24), seed=5)
    assert other.recipe(7) != library.recipe(7)


def test_single_and_double_precision_agree() -> None:
    library = simulate.KernelSampler(shape=(32, 32), seed=1)
    for index in range(4):
        recipe = library.recipe(index)
        double = library.make(recipe)
        (single,) = library.values([recipe])
        np.testing.assert_allclose(single, double, atol=1e-4 * float(abs(double).max()))
        assert double.attrs["family"] == recipe.family


def test_the_window_shows_more_or_less_of_the_same_kernel() -> None:
    library = simulate.KernelSampler(["elliptic"], shape=(33, 33), seed=2)
    wide = simulate.KernelSampler(["elliptic"], shape=(65, 65), seed=2)
    recipe = library.recipe(0)
    middle = wide.make(recipe).values[16:49, 16:49]
    # The larger window has a larger box, which differs by what returns through its edge.
    np.testing.assert_allclose(library.make(recipe), middle, atol=2e-3 * abs(middle).max())


def test_the_pixel_size_only_scales_the_lengths() -> None:
    fine, coarse = (
        simulate.KernelSampler(shape=(32, 32), pixel_nm=pixel, seed=6) for pixel in (0.1, 0.8)
    )
    for index in range(3):
        kernels = [library.values([library.recipe(index)])[0] for library in (fine, coarse)]
        kernels = [kernel / abs(kernel).max() for kernel in kernels]
        np.testing.assert_allclose(kernels[0], kernels[1], atol=2e-3)


def test_variants_share_the_host_and_differ_in_the_impurity() -> None:
    library = simulate.KernelSampler(shape=(24, 24), seed=3)
    recipes = library.variants(5, 4)
    assert recipes[0] == library.recipe(5)
    assert len({(recipe.band, recipe.bias, recipe.broadening) for recipe in recipes}) == 1
    assert len({recipe.impurity for recipe in recipes}) == 4
    together = library.values(recipes)
    alone = np.concatenate([library.values([recipe]) for recipe in recipes])
    np.testing.assert_allclose(together, alone, atol=1e-6 * abs(alone).max())


def test_whole_families_can_be_held_out() -> None:
    library = simulate.KernelSampler(["elliptic", "graphene_site", "cuprate", "rashba"])
    kept = library.without("graphene_site", "cuprate")
    assert set(library.families) - set(kept.families) == {"graphene_site", "cuprate"}
    drawn = {kept.recipe(index).family for index in range(30)}
    assert drawn == set(kept.families)
    with pytest.raises(ValueError, match="kagome can not be held out"):
        library.without("kagome")
    assert simulate.KernelSampler("trimer").families == ("trimer",)


def test_every_fold_is_there() -> None:
    assert {family.fold for family in FAMILIES.values()} == {0, 1, 2, 3, 4, 6}


def test_an_unknown_family_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown families kagome; choose from free_electrons"):
        simulate.KernelSampler(["kagome"])


def test_a_recipe_gives_a_stack_at_other_biases() -> None:
    library = simulate.KernelSampler(["free_electrons"], shape=(16, 16), seed=0)
    recipe = library.recipe(0)
    stack = library.make(recipe, bias=[recipe.bias, 1.2 * recipe.bias])
    assert stack.dims == ("bias", "y", "x")
    np.testing.assert_allclose(stack[0], library.make(recipe), rtol=1e-12, atol=1e-12)
