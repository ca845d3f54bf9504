"""Every code block of the README and the documentation's pages runs as printed.

A block under ``<!-- not run: REASON -->`` is only checked: Python compiles, and the options of a
command exist and take such values.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from qpi_kernels.cli.application import app
from shared.pages import Block, blocks, write_scene

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def with_blocks(*languages: str) -> list[Path]:
    """Return the pages that have blocks in some languages."""
    return [page for page in PAGES if blocks(page, *languages)]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a folder that has the files of which the pages speak."""
    write_scene(tmp_path)
    monkeypatch.chdir(tmp_path)


def check_command(words: list[str]) -> None:
    """Parse a command's options without running it; wrong ones raise an error that says so."""
    command = typer.main.get_command(app)
    context = command.make_context(words[0], words[1:])
    # typer may bring a click of its own, so classes of click tell nothing.
    while hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)


def run_command(words: list[str]) -> None:
    """Run a command in this process, which may make a file again that is there."""
    if "-o" in words:
        Path(words[words.index("-o") + 1]).unlink(missing_ok=True)
    done = CliRunner().invoke(app, words[1:], prog_name=words[0])
    assert done.exit_code == 0, f"{' '.join(words)}: {done.output}"


@pytest.mark.usefixtures("scene")
@pytest.mark.parametrize("page", with_blocks("python"), ids=lambda page: page.name)
def test_python_blocks_of_a_page_run_one_after_the_other(page: Path) -> None:
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks(page, "python"):
        if block.reason is None:
            block.run_python(names)
        else:
            compile(block.code, f"{page}:{block.line}", "exec")


def ours(block: Block) -> list[list[str]]:
    """Return the commands of a block that are this package's."""
    return [words for words in block.commands() if words[0] == "napari-qpi"]


@pytest.mark.usefixtures("scene")
@pytest.mark.parametrize("page", with_blocks("sh", "console"), ids=lambda page: page.name)
def test_commands_of_a_page_are_ours_and_run(page: Path) -> None:
    for block in blocks(page, "sh", "console"):
        commands = ours(block)
        assert commands or block.reason, f"{page.name}:{block.line}: say why it is not run"
        for words in commands:
            (check_command if block.reason else run_command)(words)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["extract", "map.sxm", "--kernel-sise", "9"], "No such option"),
        (["bench", "accuracy", "--snr"], "requires an argument"),
        (["serve"], "No such command"),
    ],
)
def test_a_wrong_command_is_noticed(words: list[str], reason: str) -> None:
    # The error is of typer's own click or of click's, see `check_command`.
    with pytest.raises(Exception, match=reason):
        check_command(["napari-qpi", *words])
