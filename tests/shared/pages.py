"""Code blocks of the documentation's pages, and a folder in which they run."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qpi_kernels.defects import Defects
from shared.nanonis_files import write_sxm
from shared.planted import friedel_rings, planted_map, with_noise

_BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)^```$",
    flags=re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, its code, its line, and why it is not run, if so."""

    page: Path
    language: str
    code: str
    line: int
    reason: str | None

    def run_python(self, names: dict[str, object]) -> None:
        """Run Python with the names that earlier blocks made; a traceback has the page's lines."""
        code = "\n" * (self.line - 1) + self.code
        exec(compile(code, str(self.page), "exec"), names)

    def commands(self) -> list[list[str]]:
        """Split the lines of a console block into words."""
        lines = self.code.replace("\\\n", " ").splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def blocks(page: Path, *languages: str) -> list[Block]:
    """Return the blocks of a page in some languages, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, found["language"], found["code"], _line(text, found), found["reason"])
        for found in _BLOCK.finditer(text)
        if found["language"] in languages
    ]


def _line(text: str, found: re.Match[str]) -> int:
    return text.count("\n", 0, found.start("code")) + 1


def write_scene(folder: Path) -> None:
    """Write the map and the defects that pages speak of: ``map.sxm`` and ``defects.csv``."""
    positions = np.random.default_rng(0).uniform(0, 95, (15, 2))
    image = with_noise(planted_map(friedel_rings(), positions, (96, 96)), snr=10.0)
    planes = [1e-10 * image, 1e-10 * image[:, ::-1]]
    write_sxm(folder / "map.sxm", planes, channels=[("Z", "m", "both")])
    Defects(positions).to_csv(folder / "defects.csv")
