"""The command that makes a library, and an extraction with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from qpi_kernels.cli.application import app
from qpi_kernels.extraction import extract


def test_a_library_of_one_family_is_made_and_used(tmp_path: Path) -> None:
    target = tmp_path / "rings.safetensors"
    words = ["library", "-o", str(target), "--family", "free_electrons", "--kernels", "64"]
    made = CliRunner().invoke(app, [*words, "--components", "40"])
    assert made.exit_code == 0, made.output
    assert "64 kernels of 1 families" in made.output
    image = np.random.default_rng(0).normal(size=(48, 48))
    result = extract(image, [(20, 20), (30, 31)], kernel_shape=(16, 16), library=str(target))
    assert result.provenance["library"]["families"] == ["free_electrons"]


def test_unknown_families_and_other_endings_are_refused(tmp_path: Path) -> None:
    for words, said in (
        (["-o", str(tmp_path / "a.safetensors"), "--family", "cheese"], "unknown families"),
        (["-o", str(tmp_path / "a.npz")], ".safetensors"),
    ):
        refused = CliRunner().invoke(app, ["library", *words])
        assert refused.exit_code == 1
        assert said in refused.output
    assert not list(tmp_path.iterdir())
