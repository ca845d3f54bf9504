"""Importing the library, the plugin or a reader costs neither torch nor a window system."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pkgutil import walk_packages

HEAVY = ("torch", "diffusers", "napari", "qtpy", "PyQt6", "PyQt5", "PySide6", "magicgui", "vispy")

# Prints, per module in the order of import, the heavy packages that are loaded after it.
PROBE = """
import json, sys
from importlib import import_module
loaded = {}
for module in json.loads(sys.argv[1]):
    import_module(module)
    loaded[module] = [name for name in json.loads(sys.argv[2]) if name in sys.modules]
print(json.dumps(loaded))
"""


def heavy_imports(modules: list[str]) -> dict[str, list[str]]:
    """Import modules one after the other in a fresh interpreter that finds what this one finds."""
    program = f"import sys; sys.path[:] = {sys.path!r}\n{PROBE}"
    command = [sys.executable, "-c", program, json.dumps(modules), json.dumps(HEAVY)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def modules_of(package: str) -> list[str]:
    """Name a package and every module below it."""
    root = import_module(package)
    return [package, *(found.name for found in walk_packages(root.__path__, f"{package}."))]


def test_the_probe_sees_a_heavy_import() -> None:
    assert "torch" in heavy_imports(["torch"])["torch"]


def test_library_plugin_and_readers_import_nothing_heavy() -> None:
    modules = [
        "qpi_kernels",
        "napari_qpi",
        "napari_qpi.readers",
        "qpi_kernels.progress",
        *modules_of("qpi_kernels.io"),
        *modules_of("qpi_kernels.defects"),
    ]
    loaded = heavy_imports(modules)
    assert {module: names for module, names in loaded.items() if names} == {}
