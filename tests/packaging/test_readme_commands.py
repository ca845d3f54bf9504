"""What the README tells a person to run is what continuous integration runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def readme_commands() -> list[str]:
    """Give the lines that set up a fresh machine, as the README prints them."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^python -m pip install nox && .*$", readme, flags=re.MULTILINE)


def test_the_readme_gives_one_command_for_the_demo_and_one_for_the_tests() -> None:
    assert [command.split()[-1] for command in readme_commands()] == ["demo", "tests"]


def test_continuous_integration_runs_the_test_command_of_the_readme() -> None:
    script = ROOT / ".ci" / "run"
    if not script.exists():
        pytest.skip("this is not a checkout: .ci/run is not part of the sdist")
    test_command = readme_commands()[-1]
    assert any(line.startswith(test_command) for line in script.read_text().splitlines())
