"""Results made by hand, without an extraction: rings about planted defects."""

from __future__ import annotations

import numpy as np
import xarray as xr

from qpi_kernels import Defects, KernelResult
from qpi_kernels.io.array_records import hash_planes, pack_mask
from qpi_kernels.quality import Quality, Reason

__all__ = ["PITCH_NM", "planted_result"]

PITCH_NM = 0.4


def planted_result(
    *,
    biases=None,
    kinds=("defect",),
    mask=None,
    size=(40, 48),
    window=21,
    trust="uncertain",
    seed=0,
):
    """Make a result whose kernel is a damped ring of 2k = 4 rad/nm + 10 rad/(nm V) bias."""
    rng = np.random.default_rng(0)
    planes = [0.1] if biases is None else list(biases)
    row = (np.arange(window) - window // 2) * PITCH_NM
    radius = np.hypot(row[:, None], row[None, :])
    ring = [np.cos((4 + 10 * bias) * radius) / (0.5 + radius) for bias in planes]
    kernel = np.stack([[(1 + number) * one for one in ring] for number in range(len(kinds))])
    positions = np.array([[10.25, 12.0], [22.0, 30.5], [30.0, 8.0], [5.0, 40.0]])
    defects = Defects(positions, kind=[kinds[i % len(kinds)] for i in range(4)])
    rows, columns = np.indices(size)
    model = np.zeros((len(planes), *size))
    for (y, x), kind in zip(positions, defects.kind, strict=True):
        away = PITCH_NM * np.hypot(rows - y, columns - x)
        for index, bias in enumerate(planes):
            wave = np.cos((4 + 10 * bias) * away) / (0.5 + away)
            model[index] += (1 + list(kinds).index(kind)) * wave
    noise = 0.05 * rng.standard_normal(model.shape)
    image = {axis: (axis, PITCH_NM * np.arange(n), {"units": "nm"})
             for axis, n in zip("yx", size, strict=True)}  # fmt: skip
    own = {axis: (axis, row, {"units": "nm"}) for axis in "yx"}
    volts = ("bias", planes, {"units": "V"})
    attrs = {"units": "nS", "long_name": "dI/dV"}

    def labelled(values, coords, dims, name):
        """Label an array, without the dims of length 1."""
        array = xr.DataArray(
            values.astype(np.float32), dims=dims, coords=coords, name=name, attrs=attrs
        )
        return array.squeeze([dim for dim in dims[:-2] if array.sizes[dim] == 1])

    stack = ("bias", "y", "x")
    kernel_coords = {"kind": list(kinds), "bias": volts, **own}
    observation = labelled(model + noise, {"bias": volts, **image}, stack, "observation")
    provenance = {
        "parameters": {"kernel_shape": [window, window], "method": "least_squares"},
        "created": "2026-01-02T03:04:05+00:00",
        "preparation": [],
        "file": "",
        "channel": "didv",
        "observation_sha256": hash_planes(observation),
        "mask": None if mask is None else pack_mask(mask),
    }
    return KernelResult(
        kernel=labelled(kernel, kernel_coords, ("kind", *stack), "kernel"),
        std=labelled(0.02 + 0 * kernel, kernel_coords, ("kind", *stack), "std"),
        background=labelled(0 * model, {"bias": volts, **image}, stack, "background"),
        reconstruction=labelled(model, {"bias": volts, **image}, stack, "reconstruction"),
        residual=observation - labelled(model, {"bias": volts, **image}, stack, "residual"),
        defects=defects,
        quality=Quality(
            noise_sigma=[0.05] * len(planes),
            reduced_chi2=[1.02] * len(planes),
            r_squared=list(np.linspace(0.5, 0.9, len(planes))),
            fill=0.2,
            condition=12.0,
            ridge=[1e-3] * len(planes),
            determined=[0.8] * len(planes),
            expected_error=0.04,
            defects=4,
            iterations=7,
            converged=True,
            symmetry_scores={},
            trust=trust,
            reasons=[Reason(code="stored", place="A <b>bold</b> & strange reason.", trust=trust)],
        ),
        provenance=provenance,
    )
