"""The plugin's manifest: one text, found by napari, whose every command can be imported."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from pkgutil import walk_packages

import pytest
from npe2 import PluginManifest

from qpi_kernels.io.registry import known_formats

ROOT = Path(__file__).parents[2]
TOP_LEVEL = ROOT / "napari.yaml"


@pytest.fixture
def packaged() -> Path:
    """Return the manifest inside the package that is being tested, installed or checkout."""
    return Path(import_module("napari_qpi").__path__[0]) / "napari.yaml"


def test_the_top_level_manifest_is_the_packaged_one(packaged: Path) -> None:
    text = TOP_LEVEL.read_text(encoding="utf-8")
    if text.strip() == "napari_qpi/napari.yaml":
        pytest.skip("git wrote the link as a text file, which packaging does not read")
    assert (
        PluginManifest.from_file(TOP_LEVEL).model_dump()
        == PluginManifest.from_file(packaged).model_dump()
    )


def test_napari_finds_the_packaged_manifest(packaged: Path) -> None:
    try:
        distribution("napari-qpi")
    except PackageNotFoundError:
        pytest.skip("napari-qpi is not installed: run `nox -s tests`")
    found = PluginManifest.from_distribution("napari-qpi")
    expected = PluginManifest.from_file(packaged)
    assert found.name == "napari-qpi"
    assert found.contributions.model_dump() == expected.contributions.model_dump()


def test_every_command_of_the_manifest_can_be_imported(packaged: Path) -> None:
    PluginManifest.from_file(packaged).validate_imports()


def test_the_reader_s_patterns_are_those_of_the_registry(packaged: Path) -> None:
    (reader,) = PluginManifest.from_file(packaged).contributions.readers or []
    registered = [pattern for known in known_formats().values() for pattern in known.patterns]
    assert sorted(reader.filename_patterns) == sorted({*registered, "*defects*.csv"})


def test_every_command_belongs_to_a_contribution_or_a_menu(packaged: Path) -> None:
    assert orphans(PluginManifest.from_file(packaged)) == (set(), set())


def test_a_command_that_nothing_uses_is_noticed(packaged: Path) -> None:
    manifest = PluginManifest.from_file(packaged)
    widgets = manifest.contributions.widgets or []
    removed = next(each for each in widgets if each.command == "napari-qpi.annotate")
    widgets.remove(removed)
    for menu in manifest.contributions.menus.values():
        menu[:] = [item for item in menu if getattr(item, "command", "") != removed.command]
    assert orphans(manifest) == ({"napari-qpi.annotate"}, set())


def test_every_dock_is_a_widget_of_the_manifest(packaged: Path) -> None:
    assert docks_without_entry(PluginManifest.from_file(packaged)) == set()


def test_a_dock_without_an_entry_is_noticed(packaged: Path) -> None:
    manifest = PluginManifest.from_file(packaged)
    widgets = manifest.contributions.widgets or []
    widgets[:] = [widget for widget in widgets if widget.command != "napari-qpi.train"]
    assert docks_without_entry(manifest) == {"napari_qpi.widgets.train.dock:Train"}


def orphans(manifest: PluginManifest) -> tuple[set[str], set[str]]:
    """Find commands that no contribution uses, and used ones that are not defined."""
    contributions = manifest.contributions.model_dump(exclude_none=True)
    commands = {command["id"] for command in contributions.pop("commands")}
    used = set(_values_of("command", contributions))
    return commands - used, used - commands


def docks_without_entry(manifest: PluginManifest) -> set[str]:
    """Find docks of the package, but for common bases, that are no widget of the manifest."""
    from napari_qpi.widgets.common.dock import Dock

    contributions = manifest.contributions
    entries = {widget.command for widget in contributions.widgets or []}
    listed = {
        str(command.python_name)
        for command in contributions.commands or []
        if command.id in entries
    }
    widgets = import_module("napari_qpi.widgets")
    found = set()
    for module in walk_packages(widgets.__path__, "napari_qpi.widgets."):
        for name, value in vars(import_module(module.name)).items():
            ours = isinstance(value, type) and issubclass(value, Dock)
            common = module.name.startswith("napari_qpi.widgets.common.")
            if ours and not common and value.__module__ == module.name:
                found.add(f"{module.name}:{name}")
    return found - listed


def _values_of(key: str, tree: object) -> list[str]:
    if isinstance(tree, dict):
        here = [tree[key]] if isinstance(tree.get(key), str) else []
        return here + [value for branch in tree.values() for value in _values_of(key, branch)]
    if isinstance(tree, list | tuple):
        return [value for branch in tree for value in _values_of(key, branch)]
    return []
