"""Python lines that compute the cuts and profiles of the Inspect dock."""

from __future__ import annotations

from napari_qpi.tasks.inspection.state import Inspection, Line
from napari_qpi.tasks.scripts.inspection import VARIABLES, mask_code, plane_code

__all__ = ["cut_code", "fourier_code", "profile_code"]


def fourier_code(inspection: Inspection, role: str, image: str) -> str:
    """Write the transform of an array, given as code, as the inspection makes it."""
    options = inspection.fourier_options(role)
    arguments = [f"{name}={value!r}" for name, value in options.items()]
    arguments += filter(None, [mask_code(inspection, role)])
    return f"qk.inspect.fourier({', '.join([image, *arguments])})"


def cut_code(inspection: Inspection, role: str, line: Line, *, less_mean: bool) -> str:
    """Write the cuts along a line: ``cut`` at the bias on show, ``stack`` at all biases.

    Parameters
    ----------
    inspection : Inspection
        What is looked at.
    role : str
        Which array is cut.
    line : Line
        Where.
    less_mean : bool
        Subtract the mean over the biases from ``stack``.
    """
    plane, stack = plane_code(inspection, role), VARIABLES[role]
    if line.space == "q":
        plane, stack = (fourier_code(inspection, role, image) for image in (plane, stack))
    where = f"{line.start!r}, {line.stop!r}, width={line.width!r}"
    axes = "(q_y, q_x) in rad/nm" if line.space == "q" else "(y, x) in nm"
    lines = [
        f"# Start and stop {axes.replace('nm', inspection.length_unit)}",
        f"cut = qk.inspect.line_cut({plane}, {where})",
    ]
    if inspection.is_stack(role):
        less = ", subtract_energy_mean=True" if less_mean else ""
        lines.append(f"stack = qk.inspect.cut_stack({stack}, {where}{less})")
    return "\n".join([*lines, "print(cut)"])


def profile_code(
    inspection: Inspection,
    roles: list[str],
    sector: tuple[float, float] | None,
    *,
    floor: bool,
    stacked: str | None,
) -> str:
    """Write the profiles of transforms: ``profiles`` by role, and ``stack`` over all biases.

    Parameters
    ----------
    inspection : Inspection
        What is looked at.
    roles : list of str
        Which arrays at the bias on show.
    sector : tuple of float or None
        Direction and width in degrees; all directions without.
    floor : bool
        Subtract the floor of white noise.
    stacked : str or None
        Which array at all biases.
    """
    rest = "" if sector is None else f", {sector[0]!r}, width_deg={sector[1]!r}"
    function = "radial_profile" if sector is None else "sector_profile"

    def profile(role: str, image: str) -> str:
        transform = fourier_code(inspection, role, image)
        return f"qk.inspect.{function}({transform}{rest}, floor={floor!r})"

    entries = [f"    {role!r}: {profile(role, plane_code(inspection, role))}," for role in roles]
    lines = ["profiles = {", *entries, "}"]
    if stacked is not None:
        lines.append(f"stack = {profile(stacked, VARIABLES[stacked])}")
    return "\n".join([*lines, "print(profiles)"])
