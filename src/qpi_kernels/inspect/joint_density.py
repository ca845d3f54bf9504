"""Joint density of states: how many pairs of states a scattering vector connects."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
import scipy.fft
import scipy.ndimage
import torch
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.simulate.bands.band import Band, SimulationError
from qpi_kernels.simulate.bands.lattice_vectors import reciprocal
from qpi_kernels.simulate.scattering.greens_function import greens_function

__all__ = ["joint_density_of_states"]

Array = NDArray[np.float64]

_MAX_MESH = 4096
# A mesh this fine against the broadened contour sums it to about 1e-4.
_STEPS_PER_WIDTH = 1.4


def joint_density_of_states(
    band: Band,
    *,
    bias: float | Sequence[float] | NDArray[np.float64],
    broadening: float,
    pixel_nm: float,
    shape: tuple[int, int],
    overlap: bool = False,
) -> xr.DataArray:
    r"""Compute the joint density of states, the autocorrelation of a band's spectral function.

    .. math:: J(q, E) = \int \frac{d^2k}{(2\pi)^2}\, A(k, E)\, A(k + q, E), \quad
              A = -\frac{1}{\pi} \mathrm{Im\,Tr}\, (E + i\eta - H(k))^{-1}

    Parameters
    ----------
    band : Band
        The material, as for `simulate.single_defect`.
    bias : float or sequence of float
        Sample bias in V, the energy in eV above the Fermi level; a sequence gives a stack.
    broadening : float
        Half-width eta of the states in eV.
    pixel_nm : float
        Pixel pitch, and
    shape : tuple of int
        size (h, w) of the image or kernel whose `fourier` has these scattering vectors.
    overlap : bool
        Weight each pair of states with the overlap of their orbitals and spins,
        ``Tr A(k) A(k + q)`` of matrices A: states of opposite spin then do not scatter into each
        other. Left out, every pair counts.

    Returns
    -------
    xarray.DataArray
        ``(q_y, q_x)`` or ``(bias, q_y, q_x)`` in 1/(eV^2 nm^2), q in rad/nm with zero at
        ``n//2``. Summed over orbitals and spins that the tip sees; of a lattice the integral runs
        over one Brillouin zone and J repeats with the reciprocal lattice.

    Raises
    ------
    SimulationError
        If the mesh of momenta would be too large, or a size is not positive.

    Notes
    -----
    It is no kernel: it knows neither the scatterer's phase nor the Green's function's real part,
    and its maxima lie inside those of a T-matrix simulation (arXiv 2503.03674) or beside them,
    depending on the phase shift: a weak scatterer's ring lies beyond 2k, a resonant one's has the
    edge of J. Papers show it beside a measured transform to name scattering vectors; for numbers
    fit a dispersion.
    """
    if not broadening > 0 or not pixel_nm > 0 or min(shape) < 1:
        raise SimulationError("broadening, pixel_nm and shape must be positive")
    biases = np.atleast_1d(np.asarray(bias, float))
    build = _continuum if band.lattice is None else _crystal
    planes = np.stack(
        [build(band, energy, broadening, pixel_nm, shape, overlap) for energy in biases.tolist()]
    )
    q_y, q_x = (2 * np.pi * scipy.fft.fftshift(scipy.fft.fftfreq(n, pixel_nm)) for n in shape)
    return xr.DataArray(
        planes,
        dims=("bias", "q_y", "q_x"),
        coords={
            "bias": ("bias", biases, {"units": "V"}),
            "q_y": ("q_y", q_y, {"units": "rad/nm", "long_name": "q_y"}),
            "q_x": ("q_x", q_x, {"units": "rad/nm", "long_name": "q_x"}),
        },
        name="joint_density_of_states",
        attrs={
            "units": "1/(eV^2 nm^2)",
            "long_name": "joint density of states",
            "band": str(band),
            "broadening (eV)": broadening,
        },
    ).squeeze([] if np.ndim(bias) else ["bias"])


def _continuum(
    band: Band,
    energy: float,
    broadening: float,
    pixel_nm: float,
    shape: tuple[int, int],
    overlap: bool,
) -> Array:
    """Sum over the pixel grid's momenta, on a mesh that holds the scattering vectors."""
    contour = band.contour(energy, broadening, pixel_nm)
    width = broadening / max(contour.speed, 1e-12)
    # Beyond twice the contour there are only the tails of the broadened states.
    reach = 2 * contour.momentum + 10 * width if contour.momentum else np.inf
    axes, finer = [], []
    for size in shape:
        step = 2 * np.pi / (size * pixel_nm)
        finer.append(ceil(_STEPS_PER_WIDTH * step / width))
        half = ceil(min(size * finer[-1] / 2, reach * finer[-1] / step))
        axes.append(np.arange(-half, half + 1) * step / finer[-1])
    _check_mesh(max(map(len, axes)), energy)
    kx, ky = np.meshgrid(axes[1], axes[0])
    spectral = _spectral_matrices(band, kx, ky, energy, broadening, overlap)
    # Momenta must not meet those of the other side.
    lengths = [
        scipy.fft.next_fast_len(len(axis) + size * fine // 2 + 1)
        for axis, size, fine in zip(axes, shape, finer, strict=True)
    ]
    total = _autocorrelation(spectral, lengths)
    measure = np.prod([axis[1] - axis[0] for axis in axes]) / (2 * np.pi) ** 2
    rows, columns = (
        (np.arange(size) - size // 2) * fine % length
        for size, fine, length in zip(shape, finer, lengths, strict=True)
    )
    # Where nothing overlaps, rounding leaves either sign.
    return np.asarray(np.maximum(measure * total[np.ix_(rows, columns)], 0.0))


def _crystal(
    band: Band,
    energy: float,
    broadening: float,
    pixel_nm: float,
    shape: tuple[int, int],
    overlap: bool,
) -> Array:
    """Sum over the Brillouin zone, on a mesh along the reciprocal vectors."""
    assert band.lattice is not None
    vectors = reciprocal(band.lattice)
    width = broadening / max(band.contour(energy, broadening, pixel_nm).speed, 1e-12)
    sizes = [
        scipy.fft.next_fast_len(max(ceil(_STEPS_PER_WIDTH * float(np.hypot(*b)) / width), 16))
        for b in vectors
    ]
    _check_mesh(max(sizes), energy)
    first, second = np.meshgrid(*(np.arange(n) / n for n in sizes), indexing="ij")
    momenta = np.stack([first, second], axis=-1) @ vectors
    spectral = _spectral_matrices(
        band, momenta[..., 0], momenta[..., 1], energy, broadening, overlap
    )
    total = _autocorrelation(spectral, sizes)
    measure = abs(float(np.linalg.det(vectors))) / (2 * np.pi) ** 2 / np.prod(sizes)
    q_y, q_x = np.meshgrid(
        *((np.arange(n) - n // 2) * 2 * np.pi / (n * pixel_nm) for n in shape), indexing="ij"
    )
    places = np.stack([q_x, q_y], axis=-1) @ np.linalg.inv(vectors) * sizes
    found = scipy.ndimage.map_coordinates(
        total, np.moveaxis(places, -1, 0), order=3, mode="grid-wrap"
    )
    return np.asarray(measure * found)


def _check_mesh(size: int, energy: float) -> None:
    """Raise SimulationError where a mesh would not fit the memory."""
    if size > _MAX_MESH:
        raise SimulationError(
            f"the contour at {energy:g} V needs a mesh of {size} momenta in a row, more than "
            f"{_MAX_MESH}: raise the broadening"
        )


def _spectral_matrices(
    band: Band, kx: Array, ky: Array, energy: float, broadening: float, overlap: bool
) -> NDArray[np.complex128]:
    """Compute A between tunnelling channels, (channel, channel, ...), or its trace, (1, 1, ...)."""
    hamiltonian = band.hamiltonian(torch.from_numpy(kx), torch.from_numpy(ky))
    green = greens_function(hamiltonian, torch.tensor(energy, dtype=torch.float64), broadening)
    channels = band.channels.to(green)
    seen = torch.einsum("ca,abyx,db->cdyx", channels, green, channels).numpy()
    matrices = (seen - seen.swapaxes(0, 1).conj()) * (0.5j / np.pi)
    if overlap:
        return np.asarray(matrices)
    return np.asarray(np.einsum("ccyx->yx", matrices)[None, None])


def _autocorrelation(spectral: NDArray[np.complex128], lengths: Sequence[int]) -> Array:
    """Sum ``A_ab(k) A_ba(k + q)`` over k and the channels, periodic with the lengths."""
    transforms = scipy.fft.ifft2(spectral, s=tuple(lengths), norm="forward")
    # The transform of A_ab is the conjugate of that of A_ba at the opposite place.
    power = np.square(np.abs(transforms)).sum(axis=(0, 1))
    return np.asarray(scipy.fft.fft2(power, norm="forward").real)
