"""Simulated scenes: materials, parameters and what comes out."""

import numpy as np
import pytest
from pydantic import ValidationError

from qpi_kernels import extract, simulate
from qpi_kernels.inspect import fourier
from qpi_kernels.io import open_scan
from qpi_kernels.io.formats.netcdf import save_scan
from qpi_kernels.progress import Cancelled, CancelToken
from qpi_kernels.simulate.materials import known_materials
from qpi_kernels.simulate.scan.simulation import (
    ScanSimulation,
    SimulatedScanParameters,
    simulate_scan,
    simulated_scan_dataset,
)
from qpi_kernels.symmetry import symmetry_scores

# Rotations that leave the kernel of each material's usual impurity as it is.
FOLDS = {
    "Ag111": (4, 6), "Cu111": (4, 6), "Au111": (4, 6), "Be": (2,), "Bi2Se3": (6,), "Bi2Te3": (6,),
    "BiTeI": (6,), "graphene": (3,), "NbSe2": (6,), "square": (4,), "triangular": (6,),
    "Bi2212": (4,), "FeSe": (2,),
}  # fmt: skip
BROKEN = {"Be": 4, "Bi2Te3": 4, "graphene": 6, "NbSe2": 4, "square": 6, "Bi2212": 6, "FeSe": 4}
SMALL = {"image_shape": (40, 48), "kernel_shape": (21, 21)}


def small(**options):
    return SimulatedScanParameters(**{"material": "Ag111", "density": 8.0, **SMALL, **options})


def test_every_name_has_a_material():
    assert set(known_materials()) == set(FOLDS)


@pytest.mark.parametrize("name", FOLDS)
def test_a_materials_own_numbers_give_a_well_sampled_kernel(name):
    scene = simulate_scan(
        SimulatedScanParameters(material=name, image_shape=(16, 16), density=900), device="cpu"
    )
    kernel = scene.kernel
    scores = symmetry_scores(kernel.values)
    assert all(scores[f"C{fold}"] > 0.98 for fold in FOLDS[name]), scores
    if name in BROKEN:
        assert scores[f"C{BROKEN[name]}"] < 0.9
    magnitude = fourier(kernel)
    nyquist = np.pi / scene.parameters.pixel_nm
    largest = np.maximum(abs(magnitude["q_y"]), abs(magnitude["q_x"])).values
    power = magnitude.transpose("q_y", "q_x").values ** 2
    assert power[largest > 0.85 * nyquist].sum() < 0.005 * power.sum()
    radius = np.hypot(kernel.y, kernel.x).values
    far = np.abs(kernel.values[radius > radius[0, 32] / 2]).max()
    assert far > 0.02 * np.abs(kernel.values).max(), "the waves should reach through the window"


@pytest.mark.parametrize("name", FOLDS)
def test_every_kind_of_impurity_of_a_material_works(name):
    material = known_materials()[name]
    for kind in material.impurities:
        parameters = SimulatedScanParameters(
            material=name, impurity=kind, image_shape=(16, 16), kernel_shape=(9, 9), density=900,
            broadening=4 * material.broadening,
        )  # fmt: skip
        scene = simulate_scan(parameters, device="cpu")
        assert np.isfinite(scene.observation).all()
        assert float(abs(scene.kernel).max()) > 0


@pytest.mark.parametrize(("name", "three_fold"), [("Bi2Te3", 0.95), ("NbSe2", 0.3)])
def test_a_trimer_gives_three_folds_and_a_cluster_none(name, three_fold):
    options = {"material": name, "image_shape": (16, 16), "density": 900}
    trimer = simulate_scan(SimulatedScanParameters(impurity="trimer", **options)).kernel.values
    scores = symmetry_scores(trimer)
    assert scores["C3"] > 0.98
    assert scores["C6"] < three_fold
    cluster = simulate_scan(SimulatedScanParameters(impurity="cluster", **options)).kernel.values
    assert max(symmetry_scores(cluster).values()) < 0.95


def test_what_is_left_out_is_the_materials_own():
    material = known_materials()["Bi2Te3"]
    one = SimulatedScanParameters(material="Bi2Te3")
    assert (one.bias, one.broadening, one.pixel_nm) == (0.1, material.broadening, 0.45)
    many = SimulatedScanParameters(material="Bi2Te3", biases=5, bias=None)
    assert (many.bias, many.last_bias) == material.bias_range
    given = SimulatedScanParameters(material="Bi2Te3", biases="3", bias="-0.01", broadening=0.05)
    assert (given.bias, given.last_bias, given.broadening) == (-0.01, 0.15, 0.05)
    np.testing.assert_allclose(given.bias_values, [-0.01, 0.07, 0.15])
    assert SimulatedScanParameters.model_validate(given.model_dump()) == given


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"material": "unobtainium"}, "Bi2212"),
        ({"impurity": "magnetic"}, "choose point, phase_shift"),
        ({"material": "Bi2212", "impurity": "trimer"}, "choose point, phase_shift, magnetic"),
        ({"density": 1e-6}, "0 defects"),
        ({"density": 1000, "image_shape": (2048, 2048)}, "1 to 5000"),
        ({"biases": 3, "bias": 0.1, "last_bias": 0.1}, "are the same"),
        ({"multiple_scattering": True, "impurity": "trimer"}, "needs point impurities"),
        ({"multiple_scattering": True, "density": 50}, "at most 200"),
        ({"broadening": 0}, "greater than 0"),
    ],
)
def test_what_can_not_be_is_explained(wrong, words):
    with pytest.raises(ValidationError, match=words):
        SimulatedScanParameters(**wrong)


def test_waves_that_reach_too_far_are_refused():
    with pytest.raises(simulate.SimulationError, match="raise the broadening"):
        simulate_scan(small(broadening=1e-6))


def test_the_same_seed_gives_the_same_bits():
    first, again = (simulate_scan(small(artefacts="typical"), device="cpu") for _ in range(2))
    np.testing.assert_array_equal(first.observation, again.observation)
    np.testing.assert_array_equal(first.kernel, again.kernel)
    assert first.defects == again.defects
    other = simulate_scan(small(artefacts="typical", seed=1), device="cpu")
    assert not np.array_equal(first.defects.positions, other.defects.positions)
    np.testing.assert_array_equal(first.kernel, other.kernel)


def test_the_clean_map_is_the_superposed_kernel():
    scene = simulate_scan(small(noise=0, kernel_shape=(95, 95)))
    expected = simulate.observe(scene.kernel.astype(float), scene.defects, (40, 48))
    away = scene.observation.values - expected.values
    assert away.std() < 0.01 * expected.values.std()
    assert scene.observation.dtype == np.float32
    np.testing.assert_allclose(scene.observation.x, np.arange(48) * 0.3)


def test_noise_is_relative_to_the_signal():
    clean = simulate_scan(small(noise=0, seed=4)).observation.values
    noisy = simulate_scan(small(noise=0.5, seed=4)).observation.values
    assert (noisy - clean).std() == pytest.approx(0.5 * clean.std(), rel=0.1)


@pytest.mark.parametrize("multiple", [False, True])
def test_a_plane_of_a_stack_is_the_map_at_its_bias(multiple):
    stack = small(biases=3, noise=0, multiple_scattering=multiple)
    scene = simulate_scan(stack)
    assert scene.observation.dims == scene.kernel.dims == ("bias", "y", "x")
    plane = simulate_scan(stack.at(stack.bias_values[1]))
    assert plane.observation.dims == ("y", "x")
    assert float(plane.observation.bias) == float(scene.observation.bias[1])
    np.testing.assert_allclose(plane.observation, scene.observation[1], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(plane.kernel, scene.kernel[1], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["Ag111", "square"])
def test_multiple_scattering_is_that_of_the_exact_solution(name):
    density = {"Ag111": 8.0, "square": 80.0}[name]
    options = {"material": name, "density": density, "noise": 0, "multiple_scattering": True}
    parameters = small(**options)
    scene = simulate_scan(parameters, device="cpu")
    material = parameters.known_material
    exact = simulate.multiple_defects(
        material.make_band(), scene.defects, bias=parameters.bias, pixel_nm=parameters.pixel_nm,
        shape=parameters.image_shape, impurity=parameters.strength,
        broadening=parameters.broadening, tip_nm=material.tip_nm, device="cpu",
    )  # fmt: skip
    np.testing.assert_allclose(
        scene.observation, exact, rtol=1e-3, atol=2e-3 * float(abs(exact).max())
    )
    alone = simulate_scan(small(**options | {"multiple_scattering": False}), device="cpu")
    assert np.corrcoef(alone.observation.values.ravel(), exact.values.ravel())[0, 1] < 0.999


@pytest.mark.parametrize("name", ["NbSe2", "Bi2212", "graphene"])
def test_defects_sit_on_the_lattice(name):
    scene = simulate_scan(small(material=name, density=60.0))
    lattice = scene.parameters.known_material.make_band().lattice
    positions = scene.defects.positions[:, ::-1] * scene.parameters.pixel_nm
    sites = positions @ np.linalg.inv(lattice)
    np.testing.assert_allclose(sites, np.rint(sites), atol=1e-9)
    assert len(np.unique(np.rint(sites), axis=0)) == len(sites)


@pytest.mark.parametrize("arrangement", ["hard_core", "clustered", "ordered"])
def test_arrangements_keep_the_number(arrangement):
    parameters = small(arrangement=arrangement)
    scene = simulate_scan(parameters)
    assert len(scene.defects) == parameters.defect_count
    away = np.linalg.norm(scene.defects.positions[:, None] - scene.defects.positions, axis=-1)
    closest = np.where(away > 0, away, np.inf).min()
    spacing = np.sqrt(40 * 48 / parameters.defect_count)
    assert (closest > 0.45 * spacing) == (arrangement != "clustered")


def test_typical_artefacts_move_the_defects_with_the_drift():
    plain, drifted = (small(artefacts=choice, noise=0.2) for choice in ("none", "typical"))
    first, second = simulate_scan(plain), simulate_scan(drifted)
    moved = np.linalg.norm(first.defects.positions - second.defects.positions, axis=1)
    assert 0.01 < moved.max() < 2
    assert float(second.observation.std()) > float(first.observation.std())
    assert drifted.scan_artefacts().noise == 0.2


def test_temperature_and_modulation_smear_the_waves():
    def far_waves(**options):
        kernel = simulate_scan(small(kernel_shape=(65, 65), **options)).kernel
        return float(kernel.where(np.hypot(kernel.x, kernel.y) > 7).std())

    sharp = far_waves()
    assert far_waves(temperature=80) < 0.8 * sharp
    assert far_waves(modulation=0.015) < 0.8 * sharp


def test_a_step_for_each_bias_and_one_for_the_scan():
    simulation = ScanSimulation(small(biases=4))
    events = []
    while not simulation.done:
        events.append(simulation.step())
    assert [event.step for event in events] == [1, 2, 3, 4, 5]
    assert {event.total for event in events} == {5}
    assert events[0].message == "-0.05 V"
    assert simulation.result.kernel.shape == (4, 21, 21)


def test_it_stops_between_biases():
    token = CancelToken()
    seen = []

    def stop_at_second(event):
        seen.append(event)
        if len(seen) == 2:
            token.cancel()

    with pytest.raises(Cancelled):
        simulate_scan(small(biases=50), on_event=stop_at_second, cancel=token)
    assert len(seen) == 2


@pytest.mark.parametrize("biases", [1, 3])
def test_a_saved_scene_opens_as_a_scan_with_its_truth(tmp_path, biases):
    scene = simulate_scan(small(biases=biases))
    dataset = simulated_scan_dataset(scene)
    opened = open_scan(save_scan(dataset, tmp_path / "map.nc"))
    files = {channel.attrs.pop("file") for channel in opened.data_vars.values()}
    assert files == {str((tmp_path / "map.nc").resolve())}
    assert opened.identical(dataset)
    assert opened.attrs["header"]["material"] == "Ag111"
    assert opened.attrs["complete"] is True
    np.testing.assert_array_equal(opened["didv"], scene.observation)
    np.testing.assert_array_equal(opened["kernel_true"], scene.kernel)


def test_extraction_finds_the_true_kernel():
    scene = simulate_scan(SimulatedScanParameters(noise=0.2, kernel_shape=(33, 33), density=2.0))
    result = extract(scene.observation, scene.defects, kernel_shape=(33, 33), background="offset")
    assert np.corrcoef(result.kernel.values.ravel(), scene.kernel.values.ravel())[0, 1] > 0.95


def test_defects_beyond_the_frame_send_their_waves_in():
    frame = dict(image_shape=(48, 48), density=6, noise=0.0)
    scene = simulate_scan(SimulatedScanParameters(margin=20, kernel_shape=(135, 135), **frame))
    outside = ((scene.defects.positions < -0.5) | (scene.defects.positions > 47.5)).any(axis=1)
    assert 0.4 < outside.mean() < 0.9  # (88^2 - 48^2) / 88^2 = 0.70
    alone = simulate_scan(SimulatedScanParameters(kernel_shape=(17, 17), **frame))
    assert len(scene.defects) - outside.sum() == pytest.approx(len(alone.defects), abs=8)
    kernel = np.asarray(scene.kernel, np.float32)
    observed = scene.observation.values
    every, inside = (
        np.abs(observed - simulate.superpose(kernel, defects, (48, 48))).max()
        for defects in (scene.defects, scene.defects[~outside])
    )
    assert every < 0.01 * np.abs(observed).max()
    assert inside > 0.1 * np.abs(observed).max()
