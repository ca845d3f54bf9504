"""Tables of docs/inspect.md from the numbers in docs/results/inspect.json.

Usage: ``napari-qpi bench inspect --json docs/results/inspect.json``, then
``python docs/inspect_page.py``, which prints the tables.
"""

from __future__ import annotations

from pathlib import Path

from prepare_page import print_rows

from qpi_kernels.bench.inspect.benchmark import InspectReport

NUMBERS = Path(__file__).parent / "results" / "inspect.json"


def main() -> None:
    """Print what is the same elsewhere, then a line for each kind of map."""
    report = InspectReport.model_validate_json(NUMBERS.read_bytes())
    print("| here | stmpy | largest difference | |\n| --- | --- | --- | --- |")
    for one in report.agreements:
        print(f"| `{one.here}` | `{one.there}` | {one.shown} | {one.reason} |")
    print()
    print_rows(report)


if __name__ == "__main__":
    main()
