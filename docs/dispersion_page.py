"""Tables of docs/dispersion.md from the numbers in docs/results/dispersion.json.

Usage: ``napari-qpi bench dispersion --json docs/results/dispersion.json``, then
``python docs/dispersion_page.py``, which replaces the tables of the page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from qpi_kernels.bench.dispersion.report import DispersionReport, DispersionRow

DOCS = Path(__file__).parent
NUMBERS, PAGE = DOCS / "results" / "dispersion.json", DOCS / "dispersion.md"
_START, _END = "<!-- numbers: made by dispersion_page.py -->", "<!-- end of numbers -->"


def with_tables(page: str, report: DispersionReport) -> str:
    """Replace the tables of a page, between its two marks."""
    before, _, rest = page.partition(_START)
    return before + _START + "\n\n" + tables(report) + "\n" + _END + rest.partition(_END)[2]


def tables(report: DispersionReport) -> str:
    """Write the table of all groups, that of the phases, and what measured them."""
    groups: dict[str, list[DispersionRow]] = {}
    for row in report.rows:
        groups.setdefault(row.group, []).append(row)
    parts = [_table(_summary(groups)), _table(_by_phase(groups))]
    machine = report.machine
    parts.append(
        f"{machine['software']}; numpy {machine['numpy']}, scipy {machine['scipy']}; "
        f"{machine['processor']} ([numbers](results/dispersion.json))."
    )
    return "\n\n".join(parts) + "\n"


def _summary(groups: dict[str, list[DispersionRow]]) -> list[list[str]]:
    """Tabulate for each group the largest errors, and how often they are covered."""
    lines = [
        [
            "grids", "number", "m*: rms, largest", "onset: rms, largest", "both within 2 sigma",
            "lifetime: rms, largest", "phase: rms, largest", "if the instrument is not told: m*",
        ]
    ]  # fmt: skip
    for name, rows in groups.items():
        covered = [one.covered for row in rows for one in (row.mass, row.onset)]
        phases = np.concatenate([row.phase_errors for row in rows])
        plain = not any(word in name for word in ("set-point", "modulation"))
        lines.append(
            [
                name,
                str(len(rows)),
                _shares(rows, lambda row: row.mass.off),
                _shares(rows, lambda row: row.onset.off),
                f"{sum(covered)} of {len(covered)}",
                _shares(rows, lambda row: row.self_energy.truth / row.self_energy.value - 1),
                f"{np.sqrt(np.mean(phases**2)):.2f}, {np.abs(phases).max():.2f} rad",
                "-" if plain else _shares(rows, lambda row: row.blind_mass / row.mass.truth - 1),
            ]
        )
    return lines


def _by_phase(groups: dict[str, list[DispersionRow]]) -> list[list[str]]:
    """Tabulate the mean error of m* by the fit and by rings for each phase of the plain grids."""
    lines = [
        [
            "grids", "phase shift", "m* by the fit", "by the ring of the map's \\|FT\\|",
            "by the ring of the kernel's \\|FT\\|", "onset by the fit", "by the ring of the map",
        ]
    ]  # fmt: skip
    for name, rows in list(groups.items())[:2]:
        for phase in dict.fromkeys(row.name.split(",")[0] for row in rows):
            same = [row for row in rows if row.name.startswith(phase)]
            lines.append(
                [
                    name,
                    phase.removeprefix("phase "),
                    _range(same, lambda row: row.mass.off),
                    _range(same, lambda row: row.ring_mass / row.mass.truth - 1),
                    _range(same, lambda row: row.kernel_ring_mass / row.mass.truth - 1),
                    _range(same, lambda row: 1e3 * (row.onset.value - row.onset.truth), "meV"),
                    _range(same, lambda row: 1e3 * (row.ring_onset - row.onset.truth), "meV"),
                ]
            )
    return lines


def _shares(rows: Sequence[DispersionRow], off: Callable[[DispersionRow], float]) -> str:
    """Write the rms and the largest of shares."""
    values = np.array([off(row) for row in rows])
    return f"{np.sqrt(np.mean(values**2)):.1%}, {np.abs(values).max():.1%}"


def _range(
    rows: Sequence[DispersionRow], number: Callable[[DispersionRow], float], unit: str = "%"
) -> str:
    """Write the smallest and the largest of some numbers."""
    values = sorted(number(row) * (100 if unit == "%" else 1) for row in rows)
    return f"{values[0]:+.1f} to {values[-1]:+.1f} {unit}"


def _table(lines: Sequence[Sequence[str]]) -> str:
    """Write a table in Markdown."""
    heads, *rest = lines
    rows = [heads, ["---"] * len(heads), *rest]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main() -> None:
    """Replace the tables of the page."""
    report = DispersionReport.model_validate_json(NUMBERS.read_bytes())
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), report), encoding="utf-8")


if __name__ == "__main__":
    main()
