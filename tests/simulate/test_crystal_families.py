"""Families of crystals: atoms at the distances asked for, with the symmetry that is named."""

from dataclasses import replace

import numpy as np
import pytest

from qpi_kernels import simulate
from qpi_kernels.simulate.families import FAMILIES
from qpi_kernels.symmetry import symmetry_scores

CRYSTALS = {name: family for name, family in FAMILIES.items() if not family.band_limited}
RIGHT = {1: set(), 2: {"C2"}, 3: {"C3"}, 4: {"C2", "C4"}, 6: {"C2", "C3", "C6"}}
every_crystal = pytest.mark.parametrize("name", CRYSTALS)


def fine_scores(name, count, seed=3):
    """Symmetry of kernels drawn for a pixel and shown with four on it: turning blurs no atom."""
    sampler = simulate.KernelSampler([name], shape=(65, 65), pixel_nm=0.2)
    for index in range(count):
        recipe = CRYSTALS[name].recipe(np.random.default_rng([seed, index]), 0.8)
        yield symmetry_scores(sampler.make(recipe).values)


@every_crystal
def test_every_draw_has_the_symmetry_of_its_family(name):
    for scores in fine_scores(name, 4):
        for fold in RIGHT[CRYSTALS[name].fold]:
            assert scores[fold] > 0.98, fold


@every_crystal
def test_no_other_symmetry_is_common(name):
    found = list(fine_scores(name, 8))
    wrong = set(found[0]) - RIGHT[CRYSTALS[name].fold]
    assert np.median([max(scores[fold] for fold in wrong) for scores in found]) < 0.95


@every_crystal
def test_lattice_constants_and_tips_span_what_microscopes_see(name):
    recipes = [CRYSTALS[name].recipe(np.random.default_rng(seed), 0.5) for seed in range(9)]
    constants = [np.hypot(*recipe.band.vectors_nm[0]) / 0.5 for recipe in recipes]
    tips = [recipe.tip_nm / 0.5 for recipe in recipes]
    assert 1.8 <= min(constants) < 5 < 6 < max(constants) <= 12.001
    assert 0.3 <= min(tips) < 0.7 < 1.1 < max(tips) <= 1.9


@every_crystal
def test_recipes_are_plain_and_repeatable(name):
    first, second = (CRYSTALS[name].recipe(np.random.default_rng(7), 0.5) for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)
    assert "float64" not in repr(first)
    assert (first.family, first.fold) == (name, CRYSTALS[name].fold)
    other = CRYSTALS[name].variant(np.random.default_rng(8), first, 0.5)
    assert (other.band, other.bias, other.broadening) == (first.band, first.bias, first.broadening)
    assert other.impurity.sites == first.impurity.sites
    assert other.impurity != first.impurity


def test_batches_show_defects_of_a_crystal_on_its_lattice():
    parameters = simulate.BatchParameters(
        kernel_shape=(16, 16), image_shape=(24, 24), variants=2, artefacts=simulate.Artefacts()
    )
    library = simulate.KernelSampler(["square_crystal"], shape=(32, 32))
    batch = simulate.SimulatedBatches(library, parameters, batch_size=4, steps=1)[0]
    assert batch["observation"].isfinite().all()
    assert batch["kernel"].abs().amax(dim=(-2, -1)).min() > 0.2


def test_kernels_together_are_those_alone():
    sampler = simulate.KernelSampler(["uneven_crystal"], shape=(24, 24), seed=2)
    recipes = sampler.variants(3, 3)
    together = sampler.values(recipes)
    for recipe, kernel in zip(recipes, together, strict=True):
        alone = sampler.make(recipe).values
        np.testing.assert_allclose(kernel, alone, atol=1e-5 * np.abs(alone).max())


def test_a_family_whose_crystals_hold_no_waves_is_refused():
    family = CRYSTALS["square_crystal"]

    def still(rng):
        band, impurity = family.draw(rng)
        bonds = tuple((*bond[:4], 1e-9 * bond[4]) for bond in band.bonds)
        return replace(band, bonds=bonds), impurity

    with pytest.raises(simulate.SimulationError, match="none of 40 crystals"):
        replace(family, draw=still).recipe(np.random.default_rng(0), 0.5)
