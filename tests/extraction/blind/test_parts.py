"""Parts of the blind extraction: its model of the map, sparse activation, sampler and centre."""

import numpy as np
import pytest
import torch

from qpi_kernels import Defects
from qpi_kernels.extraction.blind.alternating_fit import AlternatingFit
from qpi_kernels.extraction.blind.convolution_model import ConvolutionModel
from qpi_kernels.extraction.blind.evidence.model_order import residual_is_white
from qpi_kernels.extraction.blind.fista import sparse_activation
from qpi_kernels.extraction.blind.gibbs_sampler import GibbsSampler, Points
from qpi_kernels.extraction.blind.kernel_centre import centre_offset, shifted
from qpi_kernels.extraction.blind.quality_report import faint_defects
from qpi_kernels.extraction.blind.sampler_residual import SamplerResidual
from qpi_kernels.forward import ForwardModel
from qpi_kernels.progress import finish
from shared.blind_maps import distances, observe, problem_of, rings
from shared.friedel_maps import scattered


def test_a_few_faint_defects_are_not_remarked_on():
    assert faint_defects(np.array([1.0, 1.0, 1.0, 1.0, 0.3])) == 0
    assert faint_defects(np.array([1.0, 1.0, 1.0, 0.2, 0.3])) == 2
    assert faint_defects(np.ones(3)) == 0


def test_a_run_without_points_explains_nothing():
    model = ConvolutionModel(problem_of(observe(rings(), scattered())))
    fit = AlternatingFit(model, torch.from_numpy(rings())[None, None].float(), seed=0)
    for threshold in (0.5, 0.35):
        finish(fit.relax(threshold))
    fit.begin_sampling()
    finish(fit.sample())
    alive = fit.cost
    fit.sampler.place(Points(np.zeros((0, 2)), np.zeros(0), np.zeros(0, int)))
    fit.sampler.density[:], fit.sampler.noise_variance = 1e-12, 1e6
    finish(fit.sample())
    assert not len(fit.sampler.points)
    assert fit.cost > alive


def test_the_map_predicts_what_the_forward_model_does():
    random = np.random.default_rng(0)
    kernel, shape = random.standard_normal((6, 5)), (17, 19)
    model = ConvolutionModel(problem_of(random.standard_normal(shape), kernel_shape=(6, 5)))
    sites = random.uniform(4, 16, (7, 2))
    strengths = random.normal(1, 0.2, 7)
    kernels = torch.from_numpy(kernel)[None, None].float()
    whole = np.rint(sites)
    spectrum = model.point_spectrum(whole, strengths)
    predicted = model.predict(spectrum[None], model.kernel_spectrum(kernels))
    defects = Defects(whole - [5, 4] + [3, 2], strength=strengths)
    expected = ForwardModel(defects, shape, (6, 5)).apply(kernels[0].double())
    np.testing.assert_allclose(predicted[0], expected, atol=1e-4)
    # The plain sum of waves and the map on the grid are the same where both can be used.
    waves = model.point_spectrum(np.vstack([whole, [[3.5, 3.5]]]), np.append(strengths, 0.0))
    np.testing.assert_allclose(waves, spectrum, atol=1e-4)


def test_correlate_is_the_transpose_of_predict():
    generator = torch.Generator().manual_seed(0)
    image = np.random.default_rng(0).standard_normal((2, 17, 19))
    model = ConvolutionModel(problem_of(image, kernel_shape=(6, 5)))
    planes = len(model.values)
    kernels = model.kernel_spectrum(torch.randn(3, planes, 6, 5, generator=generator))
    activation = torch.randn(3, *model.sites, generator=generator)
    images = torch.randn(planes, 17, 19, generator=generator)
    left = (model.predict(model.activation_spectrum(activation), kernels) * images).sum()
    right = (activation * model.correlate(images, kernels)).sum()
    assert float(left) == pytest.approx(float(right), rel=1e-4)


def test_sparse_activation_fulfils_the_optimality_conditions():
    kernel = rings(9)
    model = ConvolutionModel(problem_of(observe(kernel, scattered(5, 24), 24), kernel_shape=(9, 9)))
    # A second kernel whose threshold is higher.
    kernels = torch.from_numpy(np.stack([kernel, np.roll(kernel, 2, 1)]))[:, None].float()
    level = torch.tensor([0.2, 0.3])
    found = finish(sparse_activation(model, kernels, torch.zeros(2, *model.sites), level, 3000))
    left = model.residual(model.activation_spectrum(found), kernels)
    slope = model.correlate(left, model.kernel_spectrum(kernels)) - level.view(2, 1, 1)
    assert float(slope.max()) < 0.02
    assert float(slope[found > 1e-3].abs().max()) < 0.02
    assert 0 < int((found > 1e-3).sum()) < found.numel() / 4


@pytest.mark.parametrize("fold", [2, 3, 4, 6])
@pytest.mark.parametrize("shift", [(0, 0), (2, -1)])
def test_the_centre_of_a_symmetric_kernel_is_found(fold, shift):
    kernel = shifted(rings(31, fold=fold, decay=3.0)[None], *shift)
    np.testing.assert_allclose(centre_offset(kernel), shift, atol=0.1)


def test_a_centre_between_pixels_is_found():
    kernel = ForwardModel(Defects([(15.4, 14.7)]), (31, 31), (31, 31)).apply(
        torch.from_numpy(rings(31, decay=3.0))[None]
    )
    np.testing.assert_allclose(centre_offset(kernel.numpy()[None]), (0.4, -0.3), atol=0.1)


def test_the_sampler_splits_and_joins_points_until_they_fit():
    kernel, defects = rings(), scattered(8, seed=7)
    model = ConvolutionModel(problem_of(observe(kernel, defects)))
    scale = float(np.std(observe(kernel, defects)))
    kernels = torch.from_numpy(kernel / scale)[None, None].float()
    sampler = GibbsSampler(model, kinds=1, seed=0)
    wrong = scattered(30, seed=8).positions + 10
    sampler.place(Points(wrong, np.full(30, 0.5), np.zeros(30, int)), pitch=4, group_reach=2)
    sampler.noise_variance = (0.03 / scale) ** 2
    for _ in range(20):
        finish(sampler.sweep(kernels))
    found = Defects(sampler.points.sites - 10)
    assert len(found) == 8
    assert distances(found, defects).max() < 0.3


@pytest.mark.parametrize("pitch", [1, 2])
def test_the_energy_of_a_defect_is_what_the_map_shows_of_it(pitch):
    mask = np.ones((24, 26), bool)
    mask[5:9, 12:] = False
    image = np.random.default_rng(0).standard_normal(mask.shape)
    model = ConvolutionModel(problem_of(image, mask, kernel_shape=(9, 9), background="none"))
    kernels = torch.from_numpy(np.stack([rings(9), rings(9, wave=1.4)]))[:, None].float()
    steps = (np.arange(pitch) - pitch // 2) / pitch
    fractions = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
    nothing = torch.zeros_like(model.kernel_spectrum(kernels)[:, 0])
    residual = SamplerResidual(model, kernels, nothing, fractions, reach=1)
    # On the edge of the image, in its middle, and beside the masked pixels.
    for site in ((0, 14), (32, 33), (15, 16), (11, 20)):
        _, energy, _ = residual.near(site, 1)
        before, shown = residual.image(), np.zeros(energy.shape)
        for place, (row, col) in enumerate(np.ndindex(3, 3)):
            for choice in range(energy.shape[1]):
                at = (site[0] + row - 1, site[1] + col - 1)
                residual.add(*at, choice, 1.0)
                shown[place, choice] = np.square(residual.image() - before).sum()
                residual.add(*at, choice, -1.0)
        np.testing.assert_allclose(energy, shown, rtol=1e-3, atol=1e-3)


def test_points_between_pixels_stay_where_a_defect_is_cut_by_the_edge():
    kernel = rings()
    defects = Defects([(-0.4, 20.3), (30.2, 71.4), (50.0, 30.0), (71.3, 60.0), (20.0, 50.6)])
    model = ConvolutionModel(problem_of(observe(kernel, defects)))
    scale = float(np.std(observe(kernel, defects)))
    fit = AlternatingFit(model, torch.from_numpy(kernel / scale)[None, None].float(), seed=0)
    fit.kernels = torch.from_numpy(kernel / scale)[None, None].float()
    fit.sampler.place(Points(np.rint(defects.positions) + 10, np.ones(5), np.zeros(5, int)))
    fit.sampler.noise_variance = (0.03 / scale) ** 2
    for _ in range(10):
        fit.sampler.place(fit.sampler.points, 4, 2, group_reach=2)
        finish(fit.sample())
    assert len(fit.sampler.points) == 5
    assert distances(Defects(fit.sampler.points.sites - 10), defects).max() < 0.5
    assert fit.noise == pytest.approx(0.03 / scale, rel=0.1)


@pytest.mark.parametrize("marked", [12, 10])
def test_only_what_is_left_of_defects_makes_a_residual_other_than_white(marked):
    kernel, defects = rings(), scattered(12, size=96, apart=14.0)
    defects = Defects(np.rint(defects.positions))
    image = observe(kernel, defects, size=96)
    model, scale = ConvolutionModel(problem_of(image)), float(np.std(image))
    fit = AlternatingFit(model, torch.from_numpy(kernel)[None, None].float(), seed=0)
    fit.kernels = torch.from_numpy(kernel / scale)[None, None].float()
    sites = defects.positions[:marked] + 10
    fit.sampler.place(Points(sites, np.ones(marked), np.zeros(marked, int)), pitch=8)
    assert residual_is_white(fit) == (marked == 12)
