"""The tables of the simulator's page hold every family and artefact."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qpi_kernels.simulate import FAMILIES
from qpi_kernels.simulate.maps.artefacts import Artefacts

PAGE = Path(__file__).parents[2] / "docs" / "simulator.md"
TEXT = PAGE.read_text(encoding="utf-8")
PICTURES = re.findall(r"!\[(.*?)\]\((.*?)\)", TEXT)


def table(section: str) -> list[list[str]]:
    """Cells of the first table in a section, without its head."""
    _, found, after = TEXT.partition(f"\n## {section}\n")
    assert found, f"the page has no section {section}"
    rows = re.search(r"^\|[-|]+\|\n((?:\|.*\|\n)+)", after, flags=re.MULTILINE)
    assert rows is not None
    return [[cell.strip() for cell in row[1:-1].split("|")] for row in rows[1].splitlines()]


def test_every_family_is_in_the_table_with_its_symmetry() -> None:
    assert table("Families") == [
        [f"`{name}`", str(family.fold) if family.fold else "isotropic", family.describe]
        for name, family in FAMILIES.items()
    ]


def test_every_family_has_its_row_in_a_picture() -> None:
    shown = " ".join(words for words, _ in PICTURES)
    assert set(FAMILIES) <= set(re.findall(r"\w+", shown))


def test_every_artefact_is_in_the_table_with_its_default_and_unit() -> None:
    told = {
        name: (float(default), unit)
        for names, default, unit, _ in table("Artefacts")
        for name in re.findall(r"\w+", names)
    }
    assert told == {
        name: (field.default, (field.json_schema_extra or {}).get("unit", ""))
        for name, field in Artefacts.model_fields.items()
    }


@pytest.mark.parametrize("path", [path for _, path in PICTURES])
def test_a_picture_is_there_and_small_enough_for_a_page(path: str) -> None:
    assert (PAGE.parent / path).stat().st_size < 600_000
