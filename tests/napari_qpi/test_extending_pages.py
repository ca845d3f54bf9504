"""A newcomer's test: the pages on extending are followed literally.

The files that a page shows are written into a temporary folder that the packages also look into, so
that they are imported by the names they would have in the tree; the lines that a page adds to a
file are added, the tests that a page shows are run, and the new part is seen everywhere.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from npe2 import PluginManifest
from qtpy.QtWidgets import QComboBox
from typer.testing import CliRunner

from napari_qpi.readers import get_reader
from napari_qpi.widgets.common.parameter_form import ParameterForm
from napari_qpi.widgets.extract.dock import ExtractKernel
from napari_qpi.widgets.simulate.dock import Simulate
from qpi_kernels import prepare
from qpi_kernels.cli.application import app

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "napari_qpi" / "napari.yaml"
_ITEM = re.compile(r"^\d\. `([^`]+)`.*?^```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass
class Newcomer:
    """Somebody who follows a page."""

    request: pytest.FixtureRequest
    folder: Path
    patch: pytest.MonkeyPatch

    def follow(self, page: str) -> dict[str, str]:
        """Write the page's files, let the packages find them, and return the text of its blocks."""
        text = (ROOT / "docs" / "extending" / page).read_text(encoding="utf-8")
        blocks = dict(_ITEM.findall(text))
        for path, code in blocks.items():
            if not (ROOT / path).exists():
                target = self.folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(code, encoding="utf-8")
                if not path.startswith("tests/"):
                    self._open_package(Path(path).parent)
        return blocks

    def _open_package(self, place: Path) -> None:
        """Let the nearest package that exists look into the temporary folder, too."""
        while not (ROOT / place).exists():
            place = place.parent
        package = import_module(".".join(part for part in place.parts if part != "src"))
        self.patch.setattr(package, "__path__", [*package.__path__, str(self.folder / place)])

    def run_tests(self, path: str) -> None:
        """Run the tests of a file that the page shows."""
        names: dict[str, Any] = {"__name__": "newcomer"}
        exec(compile((self.folder / path).read_text(), path, "exec"), names)
        tests = [value for name, value in names.items() if name.startswith("test_")]
        assert tests
        for number, test in enumerate(tests):
            given = {name: self.request.getfixturevalue(name) for name in _arguments(test)}
            if "tmp_path" in given:
                given["tmp_path"] = given["tmp_path"] / f"test {number}"
                given["tmp_path"].mkdir()
            test(**given)


def _arguments(test: Any) -> list[str]:
    return list(inspect.signature(test).parameters)


@pytest.fixture
def newcomer(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Newcomer]:
    """Return somebody who leaves no module behind."""
    before = set(sys.modules)
    yield Newcomer(request, tmp_path, monkeypatch)
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def help_of(command: str) -> str:
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "500"})
    assert shown.exit_code == 0
    return shown.stdout


def test_a_format_is_one_file_and_a_line_of_the_manifest(newcomer: Newcomer) -> None:
    from qpi_kernels.io import registry

    blocks = newcomer.follow("format.md")
    registry._formats_of_the_room.cache_clear()
    try:
        newcomer.run_tests("tests/io/formats/test_lab_text.py")
        file = newcomer.folder / "other.labstm"
        file.write_text("# LABSTM 0.5\n0 1\n2 3\n")
        assert [*registry.known_formats()["Lab text"].patterns] == yaml.safe_load(
            blocks["napari_qpi/napari.yaml"]
        )
        assert "Lab text" in CliRunner().invoke(app, ["info", str(file)]).stdout
        reader = get_reader(str(file))
        assert reader is not None
        ((data, options, kind),) = reader(str(file))
        assert (data.shape, tuple(options["scale"]), kind) == ((2, 2), (0.5, 0.5), "image")
    finally:
        registry._formats_of_the_room.cache_clear()


def test_a_preparation_step_is_one_file(newcomer: Newcomer, qtbot: Any) -> None:
    from qpi_kernels.prepare import registry

    newcomer.follow("step.md")
    registry._steps_of_the_room.cache_clear()
    try:
        newcomer.run_tests("tests/prepare/steps/values/test_subtract_median.py")
        step = prepare.known_steps()["subtract_median"]
        form = ParameterForm(step, list(step.model_fields))
        qtbot.addWidget(form)
        assert form.values() == {"per": "image"}
    finally:
        registry._steps_of_the_room.cache_clear()


def test_a_kind_of_figure_is_one_file(newcomer: Newcomer) -> None:
    from qpi_kernels.inspect.figures import kind

    newcomer.follow("figure.md")
    kind._kinds_of_the_room.cache_clear()
    try:
        newcomer.run_tests("tests/inspect/figures/test_strengths.py")
        assert "strengths: the strengths" in CliRunner().invoke(app, ["figure", "--list"]).stdout
    finally:
        kind._kinds_of_the_room.cache_clear()


def test_an_estimator_is_one_file_and_a_line(newcomer: Newcomer, viewer: Any) -> None:
    from qpi_kernels.extraction import registry

    blocks = newcomer.follow("estimator.md")
    line = eval(blocks["src/qpi_kernels/extraction/registry.py"])
    newcomer.patch.setattr(registry, "_MODULES", (*registry._MODULES, line))
    try:
        newcomer.run_tests("tests/extraction/median/test_median.py")
        assert "--quantile" in help_of("extract")
        dock = ExtractKernel(viewer)
        methods = dock.form.editor("method").findChild(QComboBox)
        assert methods.findData("median") >= 0
    finally:
        registry.unregister("median")


def test_a_band_model_is_one_file_and_a_line(newcomer: Newcomer, viewer: Any) -> None:
    from qpi_kernels.simulate import materials

    blocks = newcomer.follow("band.md")
    name = eval(blocks["src/qpi_kernels/simulate/materials.py"])
    for material in import_module(f"qpi_kernels.simulate.bands.{name}").MATERIALS:
        materials.register_material(material)
        newcomer.request.addfinalizer(partial(materials.unregister_material, material.name))
    newcomer.run_tests("tests/simulate/bands/test_quartic.py")
    assert "Bi2212|quartic" in help_of("simulate")
    dock = Simulate(viewer)
    choices = dock.form.editor("material").findChild(QComboBox)
    assert choices.findData("quartic") >= 0


def test_a_dock_is_one_file_and_its_entries_in_the_manifest(newcomer: Newcomer) -> None:
    blocks = newcomer.follow("dock.md")
    newcomer.run_tests("tests/napari_qpi/widgets/statistics/test_dock.py")
    manifest = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
    for key, entries in yaml.safe_load(blocks["napari_qpi/napari.yaml"]).items():
        manifest["contributions"][key] += entries
    plugin = PluginManifest(**manifest)
    plugin.validate_imports()
    assert plugin.contributions.widgets[-1].display_name == "Statistics"
