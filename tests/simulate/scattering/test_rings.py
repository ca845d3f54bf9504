"""Rings in the Fourier image of a kernel: their radius, dispersion and the tip's resolution."""

import numpy as np
import pytest

from qpi_kernels import simulate
from qpi_kernels.simulate.bands import HBAR2_OVER_2M

COPPER = simulate.ParabolicBand(mass=0.41, onset=-0.437)
# The transform of cos(2 k r + delta) / r is Re{exp(i delta) (q^2 - 4 k^2)^(-1/2)}: weak scatterers
# peak just outside the ring, unitary ones just inside.
every_phase = pytest.mark.parametrize("phase", [0.2, -0.2, np.pi / 2])


@every_phase
def test_rings_have_twice_the_wave_number_along_both_axes(phase):
    band = simulate.EllipticBand(mass_x=0.9, mass_y=0.4, onset=-0.3)
    pixel_nm, size = 0.25, 128
    kernel = simulate.single_defect(
        band,
        bias=0.0,
        pixel_nm=pixel_nm,
        shape=(size, size),
        impurity=simulate.PhaseShiftImpurity(phase),
        broadening=0.01,
        tip_nm=0.2,
    ).values
    step = 2 * np.pi / (size * pixel_nm)
    spectrum = abs(np.fft.fft2(np.fft.ifftshift(kernel)))
    wanted = slice(8, size // 2)
    for along, mass in ((spectrum[0, wanted], 0.9), (spectrum[wanted, 0], 0.4)):
        q = (8 + int(along.argmax())) * step
        assert q == pytest.approx(2 * np.sqrt(0.3 * mass / HBAR2_OVER_2M), abs=step)


@every_phase
def test_rings_disperse_as_the_parabola(phase):
    size, pixel_nm = 128, 0.25
    stack = simulate.single_defect(
        COPPER,
        bias=[-0.3, -0.1, 0.1],
        pixel_nm=pixel_nm,
        shape=(size, size),
        impurity=simulate.PhaseShiftImpurity(phase),
        broadening=0.015,
        tip_nm=0.1,
    )
    step = 2 * np.pi / (size * pixel_nm)
    distance = np.hypot(*np.meshgrid(*[np.fft.fftfreq(size, 1 / size)] * 2))
    for plane in stack:
        spectrum = abs(np.fft.fft2(np.fft.ifftshift(plane.values)))
        rings = np.bincount(np.rint(distance).astype(int).ravel(), spectrum.ravel())
        rings /= np.bincount(np.rint(distance).astype(int).ravel())
        q = (5 + rings[5:60].argmax()) * step
        assert q == pytest.approx(2 * COPPER.wave_number(float(plane.bias)).real, abs=step)


def test_a_blunt_tip_sees_less_of_short_waves():
    options = dict(
        bias=0.0,
        pixel_nm=0.2,
        shape=(61, 61),
        impurity=simulate.PhaseShiftImpurity(0.9),
        broadening=0.03,
    )
    sharp, blunt = (simulate.single_defect(COPPER, tip_nm=tip, **options) for tip in (0.0, 0.3))
    far = np.hypot(sharp.y, sharp.x).values > 2
    # A factor exp(-k^2 sigma^2 / 2) on the way out and another on the way back.
    k = COPPER.wave_number(0.0).real
    ratio = np.std(blunt.values[far]) / np.std(sharp.values[far])
    assert ratio == pytest.approx(np.exp(-((k * 0.3) ** 2)), rel=0.05)
