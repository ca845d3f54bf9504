"""docs/prepare.md lists every step and preset, and nothing that is not there."""

import re
from pathlib import Path

from qpi_kernels import prepare

PAGE = (Path(__file__).parents[2] / "docs" / "prepare.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_step_has_its_row() -> None:
    named = [name for row in rows("Steps") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == sorted(step.__name__ for step in prepare.known_steps().values())
    assert all(hasattr(prepare, name) for name in named)


def test_every_preset_has_its_steps_in_order() -> None:
    listed = {row[0].strip("`"): re.sub(r" \(.*?\)", "", row[2]) for row in rows("Presets")}
    assert listed == {
        name: ", ".join(step.name().replace("_", " ") for step in steps)
        for name, steps in prepare.presets().items()
    }
