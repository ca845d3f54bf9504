"""The antisymmetrised sum on superconductors that plain sums over k draw."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from qpi_kernels.inspect import InspectionError, antisymmetrised, fourier
from qpi_kernels.simulate import CustomBand, MagneticImpurity, single_defect

ENERGIES = np.arange(0.006, 0.046, 0.004)
BIASES = np.concatenate([-ENERGIES[::-1], ENERGIES])


def superconductor(first_gap, second_gap, *, potential, points=160, width=0.003):
    """Draw kernels of a lattice with a pocket at (0, 0) and one at (pi, pi), each with its gap."""
    k = 2 * np.pi * np.fft.fftfreq(points)
    kx, ky = np.meshgrid(k, k)
    both = np.cos(kx) + np.cos(ky)
    states = -0.04 * both - 0.4 * np.cos(kx) * np.cos(ky) + 0.25
    gap = (first_gap + second_gap) / 2 + (first_gap - second_gap) * both / 4
    planes = []
    for energy in BIASES:
        z = energy + 1j * width
        green = np.array([[z + states, gap], [gap, z - states]]) / (z**2 - states**2 - gap**2)
        waves = np.fft.ifft2(green)
        # A non-magnetic defect scatters holes with the opposite sign.
        scattering = np.linalg.inv(np.diag([1, -1]) / potential - waves[:, :, 0, 0])
        back = np.roll(waves[:, :, ::-1, ::-1], 1, axis=(-2, -1))[:, 0]
        planes.append(-np.einsum("ayx,ab,byx->yx", waves[0], scattering, back).imag / np.pi)
    return labelled(np.fft.fftshift(planes, axes=(-2, -1)), BIASES)


def labelled(planes, biases, pitch=1.0):
    axes = {
        axis: (axis, (np.arange(size) - size // 2) * pitch, {"units": "nm"})
        for axis, size in zip("yx", np.shape(planes)[-2:], strict=True)
    }
    coords = {"bias": ("bias", biases, {"units": "V"}), **axes}
    return xr.DataArray(
        planes, dims=("bias", "y", "x"), coords=coords, attrs={"units": "1/(eV nm^2)"}
    )


def between_the_pockets(kernel):
    signed = fourier(kernel, scale="complex")
    q_y, q_x = np.abs(signed["q_y"]), np.abs(signed["q_x"])
    return np.hypot(q_y - np.pi, q_x - np.pi) < 1.2


@pytest.mark.parametrize("potential", [0.01, 0.2])
def test_gaps_of_opposite_sign_keep_the_sign_of_the_sum(potential):
    kernel = superconductor(0.03, -0.015, potential=potential)
    found = antisymmetrised(kernel, between_the_pockets(kernel))
    inside = found["value"].sel(energy=slice(0.014, 0.028))
    assert (np.sign(inside) == np.sign(inside[0])).all()
    assert (np.abs(inside) > 0.3 * np.abs(found["value"]).max()).sum() >= 3


@pytest.mark.parametrize("potential", [0.01, 0.2])
def test_gaps_of_one_sign_cross_zero_between_the_gaps(potential):
    kernel = superconductor(0.03, 0.015, potential=potential)
    value = antisymmetrised(kernel, between_the_pockets(kernel))["value"]
    below, above = value.sel(energy=[0.014, 0.026], method="nearest")
    assert float(below) * float(above) < 0
    assert min(abs(float(below)), abs(float(above))) > 0.3 * float(np.abs(value).max())


@pytest.mark.parametrize("second_gap", [0.015, -0.015])
def test_simulated_superconductors_tell_the_same(second_gap):
    lattice = 0.4

    def hamiltonian(kx, ky):
        x, y = lattice * kx, lattice * ky
        both = np.cos(x) + np.cos(y)
        states = -0.04 * both - 0.4 * np.cos(x) * np.cos(y) + 0.25
        gap = (0.03 + second_gap) / 2 + (0.03 - second_gap) * both / 4
        return np.moveaxis(np.array([[states, gap], [gap, -states]]), (0, 1), (-2, -1))

    band = CustomBand(
        hamiltonian, lattice_nm=lattice * np.eye(2), tip_channels=[[1, 0]],
        magnetic_potential=np.diag([1, -1]),
    )  # fmt: skip
    kernel = single_defect(
        band, bias=[-0.026, -0.018, -0.014, 0.014, 0.018, 0.026], pixel_nm=lattice, shape=(41, 41),
        impurity=MagneticImpurity(0.002), broadening=0.003,
    )  # fmt: skip
    signed = fourier(kernel, scale="complex")
    q_y, q_x = np.abs(signed["q_y"]), np.abs(signed["q_x"])
    corner = np.hypot(q_y - np.pi / lattice, q_x - np.pi / lattice) < 3.0
    value = antisymmetrised(kernel, corner)["value"].values
    assert (np.sign(value[0]) == np.sign(value[2])) == (second_gap < 0)


def test_sums_are_those_of_the_transform_and_over_all_q_the_value_at_the_defect():
    rng = np.random.default_rng(2)
    biases = np.array([-0.02, -0.01, 0.01, 0.02])
    kernel = labelled(rng.standard_normal((4, 15, 18)), biases, pitch=0.4)
    everything = np.ones((15, 18), bool)
    found = antisymmetrised(kernel, everything, window="none")
    centred = kernel - kernel.mean(("y", "x"))
    at_defect = centred.sel(y=0, x=0).values
    np.testing.assert_allclose(
        found["value"], [at_defect[2] - at_defect[1], at_defect[3] - at_defect[0]]
    )
    np.testing.assert_allclose(
        found["even"], [at_defect[2] + at_defect[1], at_defect[3] + at_defect[0]]
    )
    np.testing.assert_allclose(found["energy"], [0.01, 0.02])
    assert found["value"].attrs["units"] == "1/(eV nm^2)"
    ring = antisymmetrised(kernel, (2.0, 4.0), angle_deg=90.0, width_deg=60.0)
    xr.testing.assert_equal(
        antisymmetrised(kernel, (4.0, 2.0), angle_deg=90.0, width_deg=60.0), ring
    )
    signed = fourier(kernel, scale="complex").real
    q_y, q_x = np.meshgrid(signed["q_y"], signed["q_x"], indexing="ij")
    q = np.hypot(q_y, q_x)
    sector = (q >= 2) & (q <= 4) & (np.abs(q_x) <= np.tan(np.pi / 6) * np.abs(q_y) + 1e-9)
    area = signed.attrs["dq_y"] * signed.attrs["dq_x"] / (2 * np.pi) ** 2
    sums = (signed.values * sector).sum(axis=(1, 2)) * area
    np.testing.assert_allclose(ring["value"], [sums[2] - sums[1], sums[3] - sums[0]])
    assert ring.attrs["pixels"] == sector.sum()


def test_errors_are_those_of_independent_pixels():
    rng = np.random.default_rng(3)
    biases, shape = np.array([-0.01, 0.01]), (2, 9, 8)
    std = labelled(rng.uniform(0.1, 0.3, shape), biases)
    region = (1.0, 2.5)
    found = antisymmetrised(std * 0, region, std=std)
    # The sums are linear: a pixel's error enters with the answer to that pixel alone.
    variance = {"std": 0.0, "even_std": 0.0}
    for pixel in np.ndindex(shape):
        impulse = np.zeros(shape)
        impulse[pixel] = float(std[pixel])
        answer = antisymmetrised(labelled(impulse, biases), region)
        variance["std"] += float(answer["value"][0]) ** 2
        variance["even_std"] += float(answer["even"][0]) ** 2
    for name, expected in variance.items():
        assert float(found[name][0]) == pytest.approx(expected**0.5, rel=1e-6)
        assert not bool(antisymmetrised(std, region)[name].notnull().any())


def test_errors_are_those_of_a_common_shift():
    rng = np.random.default_rng(3)
    axis = (np.arange(21) - 10) * 0.4
    r = np.hypot(axis[:, None], axis)
    waves = np.exp(-(r**2) / 8) * np.stack([np.cos(2.5 * r), np.sin(2.5 * r)])
    kernel = labelled(waves, np.array([-0.01, 0.01]), pitch=0.4)
    moved = antisymmetrised(kernel, (1.5, 3.5), position_std_nm=0.3)
    signed = fourier(kernel, scale="complex")
    q_y, q_x = np.meshgrid(signed["q_y"], signed["q_x"], indexing="ij")
    chosen = (np.hypot(q_y, q_x) >= 1.5) & (np.hypot(q_y, q_x) <= 3.5)
    area = signed.attrs["dq_y"] * signed.attrs["dq_x"] / (2 * np.pi) ** 2
    d = 0.3 * rng.standard_normal((4000, 2))
    turned = np.exp(-1j * (d[:, :1] * q_y[chosen] + d[:, 1:] * q_x[chosen]))
    difference = signed.values[1][chosen] - signed.values[0][chosen]
    sums = (turned * difference).real.sum(axis=1) * area
    assert float(moved["std"][0]) == pytest.approx(np.std(sums), rel=0.06)


def test_every_kind_has_its_own_sum_and_position_error():
    rng = np.random.default_rng(5)
    one, other = (labelled(rng.standard_normal((2, 9, 9)), [-0.01, 0.01]) for _ in range(2))
    both = xr.concat([one, other], dim="kind").assign_coords(kind=["a", "b"])
    found = antisymmetrised(both, (0.5, 2.0), position_std_nm={"a": 0.2, "b": 0.0})
    assert found["value"].dims == ("kind", "energy")
    alone = antisymmetrised(other, (0.5, 2.0))
    np.testing.assert_allclose(found["value"].sel(kind="b"), alone["value"])
    assert float(found["std"].sel(kind="b")[0]) < 1e-9 < float(found["std"].sel(kind="a")[0])


@pytest.mark.parametrize("offset", [0.0, 0.2, -0.2, 0.4, 0.5])
def test_a_bias_near_zero_is_its_own_partner(offset):
    step = 0.002
    biases = -0.02 + np.cumsum(np.full(21, step)) - step + offset * step
    stack = labelled(np.random.default_rng(6).standard_normal((21, 9, 9)), biases)
    found = antisymmetrised(stack, (0.5, 2.0))
    away = np.abs(found["bias_positive"] + found["bias_negative"])
    assert float(away.max()) <= 0.5 * step
    assert found.sizes["energy"] == 10
    assert float(found["energy"].min()) >= 0.49 * step


def test_biases_without_partner_are_told_and_those_beyond_left_out():
    plane = np.random.default_rng(4).standard_normal((9, 9))
    biases = np.array([-0.021, -0.009, 0.01, 0.02, 0.03, 0.04])
    found = antisymmetrised(labelled(np.stack([plane] * 6), biases), (0.5, 2.0))
    np.testing.assert_allclose(found["bias_negative"], [-0.009, -0.021])
    np.testing.assert_allclose(found["value"], 0, atol=1e-12)
    gap = labelled(np.stack([plane] * 5), [-0.03, -0.01, 0.01, 0.02, 0.03])
    with pytest.raises(InspectionError, match=r"\+0.02 V has no partner"):
        antisymmetrised(gap, (0.5, 2.0))
    with pytest.raises(InspectionError, match="both signs"):
        antisymmetrised(gap.isel(bias=slice(2, None)), (0.5, 2.0))
    with pytest.raises(InspectionError, match="no bias dimension"):
        antisymmetrised(gap[0], (0.5, 2.0))
    with pytest.raises(InspectionError, match="no scattering vector"):
        antisymmetrised(gap.isel(bias=[0, 4]), (100.0, 200.0))
    with pytest.raises(InspectionError, match="must be boolean"):
        antisymmetrised(gap.isel(bias=[0, 4]), np.ones((3, 3), bool))
