"""The Python script that repeats an extraction from what its result records."""

from __future__ import annotations

from typing import Any

import numpy as np

from qpi_kernels.result import KernelResult
from qpi_kernels.scripts.parts import (
    defects_lines,
    imports,
    mask_lines,
    one_line,
    short_numbers,
)

__all__ = ["extraction_script"]


def extraction_script(result: KernelResult, result_file: str = "kernel.nc") -> str:
    """Write the script.

    Parameters
    ----------
    result : KernelResult
        What was extracted.
    result_file : str
        Where the result is saved; the script takes the observation from there when it came from no
        scan file.

    Returns
    -------
    str
        A complete script that ends with ``again.nc``. It reads the raw file, repeats the
        preparation and compares the hash of the observation.
    """
    known = result.provenance
    from_file = bool(known.get("file"))
    prepared = from_file and bool(known.get("preparation"))
    mask = "" if result.mask is None else mask_lines(result.mask.values)
    given = "" if known.get("finds_defects") else defects_lines(result.defects)
    parts = [
        _observation(result, result_file),
        mask,
        "prepared = replace(prepared, mask=mask)" if prepared and mask else "",
        _refinement_note(known) + given,
        _call(result, prepared, bool(mask)),
        _check(known) if from_file else "",
        'print("\\n".join(result.quality.verdict))\nresult.save("again.nc")',
    ]
    body = "\n\n".join(part for part in parts if part)
    name = one_line(str(known.get("channel") or "a map"))
    return "\n\n".join([f'"""Extract the kernel of {name} again."""', imports(body), body]) + "\n"


def _observation(result: KernelResult, result_file: str) -> str:
    """Write the lines that read the observation and prepare it."""
    known = result.provenance
    if not known.get("file"):
        return (
            "# The observation came from no file: it is the sum of prediction and residual, equal\n"
            "# but for rounding, prepared as it was.\n"
            f"before = qk.KernelResult.load({result_file!r})\n"
            "observation = before.observation"
        )
    lines = [f"scan = qk.open_scan({known['file']!r})", f"observation = scan[{known['channel']!r}]"]
    lines += _plane_lines(result)
    if known.get("preparation"):
        steps = "".join(f"    {dict(entry)!r},\n" for entry in known["preparation"])
        lines += [
            f"\nsteps = [\n{steps}]",
            "channels = qk.prepare.channels_beside(scan, observation)",
            "prepared = qk.prepare.replay(observation, steps, channels=channels)",
        ]
    return "\n".join(lines)


def _plane_lines(result: KernelResult) -> list[str]:
    """Write the lines that choose the planes of a stack."""
    kernel = result.kernel
    if "bias" not in kernel.coords:
        return []
    biases = short_numbers(np.atleast_1d(kernel["bias"].values))
    nearest = '[int(abs(observation["bias"].values - one).argmin()) for one in biases]'
    if result.residual.ndim == 3:
        return [f"biases = {biases!r}", f"observation = observation.isel(bias={nearest})"]
    return [
        "if observation.ndim == 3:  # one plane of a stack",
        f'    observation = observation.sel(bias={biases[0]!r}, method="nearest")',
    ]


def _refinement_note(known: dict[str, Any]) -> str:
    """Write that positions are those that a refinement ended with."""
    if not known.get("refinement"):
        return ""
    return (
        "# Positions and strengths as the refinement left them, so it is not repeated; the\n"
        "# standard deviation then lacks what their errors add.\n"
    )


def _call(result: KernelResult, prepared: bool, masked: bool) -> str:
    """Write the extraction."""
    parameters = dict(result.provenance.get("parameters", {}))
    if result.provenance.get("refinement"):
        parameters["refine"] = None
    for name, value in parameters.items():
        if isinstance(value, list):
            parameters[name] = tuple(value)
    arguments = [f"    {name}={value!r}," for name, value in parameters.items()]
    if masked and not prepared:
        arguments.insert(0, "    mask=mask,")
    if len(result.defects) and not result.provenance.get("finds_defects"):
        arguments.insert(0, "    defects,")
    observation = "prepared" if prepared else "observation"
    return "\n".join(["result = qk.extract(", f"    {observation},", *arguments, ")"])


def _check(known: dict[str, Any]) -> str:
    """Write the comparison with the data of then."""
    digest = known.get("observation_sha256")
    if not digest:
        return ""
    return (
        f"expected = {digest!r}  # a hash of the numbers\n"
        'if result.provenance["observation_sha256"] != expected:\n'
        '    print("The data differ from those of then: the file changed, or what was not "\n'
        '          "recorded, such as a mask before the preparation.")'
    )
