"""Table of docs/prepare.md from the numbers in docs/results/prepare.json.

Usage: ``napari-qpi bench prepare --json docs/results/prepare.json``, then
``python docs/prepare_page.py``, which prints the table.
"""

from __future__ import annotations

from pathlib import Path

from qpi_kernels.bench.peer_report import PeerReport

NUMBERS = Path(__file__).parent / "results" / "prepare.json"


def main() -> None:
    """Print the table of the preparation."""
    print_rows(PeerReport.model_validate_json(NUMBERS.read_bytes()))


def print_rows(report: PeerReport) -> None:
    """Print a line for each kind of map, with the smallest number in bold."""
    heads, *lines = report.table()
    print("|", " | ".join(heads), "|")
    print("|", " | ".join("---" for _ in heads), "|")
    before = ""
    for row, (error, maps, *numbers) in zip(report.rows, lines, strict=True):
        best = [row.best(tool) for tool in report.tools]
        medians = [one.median for one in best if one is not None and one.median is not None]
        shown = [
            f"**{text}**" if one is not None and one.median == min(medians) else text or "-"
            for text, one in zip(numbers, best, strict=True)
        ]
        print("|", " | ".join(["" if error == before else error, maps, *shown]), "|")
        before = error


if __name__ == "__main__":
    main()
