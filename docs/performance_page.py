"""Tables of docs/performance.md from the numbers in docs/results/speed.json.

Usage: ``napari-qpi bench speed --json docs/results/speed.json``, then
``python docs/performance_page.py``, which replaces what is between the page's marks.
"""

from __future__ import annotations

from pathlib import Path

from qpi_kernels.bench.speed.report import SpeedReport

DOCS = Path(__file__).parent
NUMBERS, PAGE = DOCS / "results" / "speed.json", DOCS / "performance.md"
BEGIN, END = "<!-- made by performance_page.py -->\n", "<!-- end -->\n"
QUICK = "**A quick run on tiny maps: it shows that everything runs, and nothing about speed.**"


def with_tables(page: str, report: SpeedReport) -> str:
    """Replace the tables of a page."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + "\n" + tables(report) + "\n" + END + after


def tables(report: SpeedReport) -> str:
    """Write commit and machine, then a table for each part of the report that was measured."""
    parts = [QUICK] if report.quick else []
    parts.append(measured_on(report.machine))
    for title, (heads, *lines) in report.tables().items():
        if lines:
            rows = [heads, ["---"] * len(heads), *lines]
            parts.append(f"### {title}\n\n" + "\n".join(map(row, rows)))
    if report.failures:
        failed = (f"- {one.name}: {one.error}" for one in report.failures)
        parts.append("Not measured:\n\n" + "\n".join(failed))
    return "\n\n".join(parts) + "\n"


def measured_on(machine: dict[str, str]) -> str:
    """Say what was measured where."""
    versions = ", ".join(
        f"{name} {machine[name]}" for name in ("python", "torch", "numpy", "scipy")
    )
    return (
        f"{machine['software']}; {versions}; {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, load {machine['load']} at the start "
        "([numbers](results/speed.json))."
    )


def row(cells: list[str]) -> str:
    """Write a row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main() -> None:
    """Replace the tables of the page."""
    report = SpeedReport.model_validate_json(NUMBERS.read_bytes())
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_tables(page, report), encoding="utf-8")


if __name__ == "__main__":
    main()
