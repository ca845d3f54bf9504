"""Importing the library, the plugin or a reader costs neither torch nor a window system."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

# Libraries that the import of the package and a refused file must not cost, either.
SLOW = ("xarray", "pandas", "scipy", "h5netcdf", "tifffile", "gsffile", "access2thematrix", "dask")
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


def heavy_imports(modules: list[str], names: tuple[str, ...] = HEAVY) -> dict[str, list[str]]:
    """Import modules one after the other in a fresh interpreter that finds what this one finds."""
    return in_fresh_interpreter(PROBE, json.dumps(modules), json.dumps(names))


def in_fresh_interpreter(program: str, *arguments: str) -> Any:
    """Run a program that prints JSON in an interpreter that finds what this one finds."""
    program = f"import sys; sys.path[:] = {sys.path!r}\n{program}"
    command = [sys.executable, "-c", program, *arguments]
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


def test_importing_library_plugin_and_reader_loads_no_slow_library() -> None:
    modules = ["qpi_kernels", "napari_qpi", "napari_qpi.readers", "qpi_kernels.io.open_scan"]
    loaded = heavy_imports(modules, (*SLOW, *HEAVY))
    assert {module: names for module, names in loaded.items() if names} == {}


FORMS = """
import json
programs = json.loads(sys.argv[1])
loaded = {}
for program in programs:
    exec(program)
    loaded[program] = "torch" in sys.modules
print(json.dumps(loaded))
"""


def test_forms_are_made_without_torch() -> None:
    programs = [
        "from qpi_kernels.extraction.registry import combined_parameters; combined_parameters()",
        "from qpi_kernels.simulate.scan.parameters import SimulatedScanParameters;"
        "SimulatedScanParameters(material='Bi2212').placement()",
        "import napari_qpi.widgets.extract.dock, napari_qpi.widgets.annotate.dock",
        "import napari_qpi.widgets.simulate.dock",
        "import napari_qpi.widgets.train.dock",
    ]
    assert in_fresh_interpreter(FORMS, json.dumps(programs)) == dict.fromkeys(programs, False)


READER = """
import json
from napari_qpi.readers import get_reader
offers = [get_reader(path) is not None for path in json.loads(sys.argv[1])]
print(json.dumps([offers, [name for name in json.loads(sys.argv[2]) if name in sys.modules]]))
"""


def test_a_foreign_file_costs_nothing_but_sniffing(tmp_path: Path) -> None:
    (tmp_path / "log.dat").write_text("time,value\n1,2\n")
    (tmp_path / "photo.nc").write_bytes(b"\xff\xd8\xff\xe0")
    (tmp_path / "scan.dat").write_bytes(b"[Paramco32]\n")
    paths = [str(tmp_path / name) for name in ("log.dat", "photo.nc", "missing.dat", "scan.dat")]
    offers, loaded = in_fresh_interpreter(READER, json.dumps(paths), json.dumps((*SLOW, *HEAVY)))
    assert offers == [False, False, False, True]
    assert loaded == []
