"""Presets: lists of steps that serve most raw scans."""

from __future__ import annotations

from pathlib import Path

from qpi_kernels.prepare.prepared import PreparationError
from qpi_kernels.prepare.recipe import read as read_recipe
from qpi_kernels.prepare.registry import known_steps
from qpi_kernels.prepare.step import Step

__all__ = ["SUGGEST", "presets", "steps_called"]

SUGGEST = "suggest"
"""The word for the steps that the image needs."""

# Rows come before steps: along a step at a small angle the mask would leave them too little in
# common. Levels come after, for they are those of terraces.
_PRESETS: dict[str, tuple[tuple[str, dict[str, object]], ...]] = {
    "topograph with steps": (
        ("align_rows", {}),
        ("mask_steps", {}),
        ("level", {}),
        ("mask_streaks", {}),
        ("mask_pixels", {}),
    ),
    "atomic topograph with its grid": (
        ("level", {}),
        ("mask_pixels", {}),
        ("correct_drift", {}),
    ),
    "dI/dV map": (
        ("mask_streaks", {}),
        ("mask_pixels", {}),
        ("remove_pickup", {}),
        ("level", {"order": 0}),
    ),
    "dI/dV grid": (("remove_pickup", {}), ("level", {"order": 0})),
    "constant-height current": (
        ("level", {}),
        ("mask_streaks", {}),
        ("mask_pixels", {}),
        ("remove_pickup", {}),
    ),
}


def presets() -> dict[str, list[Step]]:
    """List the presets by name.

    Returns
    -------
    dict of str to list of Step
        For `qpi_kernels.prepare.run`:

        ``topograph with steps``
            Rows brought to one level, steps masked with a margin, terraces levelled together,
            streaks and bad pixels masked.
        ``atomic topograph with its grid``
            Plane and bad pixels, then drift and creep corrected by the lattice. Of a grid the
            lattice is followed in its topography (``channels=``), and the cube follows. Rows stay
            as they are, for atomic rows along the scan lines look like their offsets.
        ``dI/dV map``
            Streaks and bad pixels masked, mains pickup fitted and subtracted, a constant taken
            off: a plane would take slow waves with it.
        ``dI/dV grid``
            Pickup and a constant. The pixels of a grid are no scan lines, and on its coarse pixels
            a defect looks like a bad one.
        ``constant-height current``
            Plane, streaks, bad pixels and pickup; no feedback gave the rows offsets.
    """
    known = known_steps()
    return {
        name: [known[step].model_validate(fields) for step, fields in steps]
        for name, steps in _PRESETS.items()
    }


def steps_called(word: str | Path) -> list[Step] | None:
    """Find the steps that a word names.

    Parameters
    ----------
    word : str or Path
        A preset, with spaces or dashes; a recipe, ending in ``.json``; or ``suggest``.

    Returns
    -------
    list of Step or None
        None for ``suggest``: the image decides.

    Raises
    ------
    PreparationError
        If there is no such preset, or the file is no recipe.
    OSError
        If the recipe can not be read.
    """
    if str(word) == SUGGEST:
        return None
    if Path(word).suffix.lower() == ".json":
        return read_recipe(word)
    known = {_plain(name): steps for name, steps in presets().items()}
    if _plain(str(word)) not in known:
        names = ", ".join(repr(name) for name in presets())
        raise PreparationError(
            f"there is no preset {str(word)!r}; known are {SUGGEST!r}, {names}, or a .json file"
        )
    return known[_plain(str(word))]


def _plain(name: str) -> str:
    """Write a preset's name as in a shell."""
    return name.lower().replace(" ", "-").replace("_", "-").replace("/", "")
